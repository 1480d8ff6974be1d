"""The AI SDK's UI message stream: the dialect of `useChat`."""
