"""Plays Argo Workflows: runs the steps of the Workflows that modelops renders as processes of this machine."""
