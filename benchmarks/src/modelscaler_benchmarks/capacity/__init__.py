"""The capacity model beside the real server."""
