"""What engines, models and verifiers take, said once: the service checks it, workers do it. Nothing here is heavy."""
