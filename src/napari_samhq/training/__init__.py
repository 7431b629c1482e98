"""Training: data, domain randomisation, simulated users, losses, the trainer, and the bundled
model.
"""
