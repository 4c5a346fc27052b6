"""Plays the Gateway API: configures a real Envoy from HTTPRoutes, Services and Deployments."""
