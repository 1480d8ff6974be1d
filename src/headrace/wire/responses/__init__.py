"""OpenAI Responses: the dialect of `/v1/responses`."""
