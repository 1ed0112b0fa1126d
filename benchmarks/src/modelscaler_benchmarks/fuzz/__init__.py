"""The protocol under nonsense: made from the OpenAPI document, from tensors, and from broken HTTP."""
