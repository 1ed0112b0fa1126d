"""The demo of Modelscaler, and the load generator that the end-to-end tests share with it."""
