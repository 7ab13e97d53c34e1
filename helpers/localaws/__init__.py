"""The embedded AWS: moto made to run, in one process on 127.0.0.1. Start with server.py and cloud.py."""
