"""Recipes, and the run folder that training one makes."""
