"""Plays kubelet and Deployment controller: one local process per replica."""
