"""What listens in front of the app: HTTP/1.1 on the event loop, or Granian where HTTP/2 or TLS is wanted."""
