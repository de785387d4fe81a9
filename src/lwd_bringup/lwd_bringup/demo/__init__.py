"""The whole loop on one machine: demonstrations, training, a fleet of simulated robots, a report."""
