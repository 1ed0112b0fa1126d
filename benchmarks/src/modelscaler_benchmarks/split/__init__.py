"""A split model beside the whole one."""
