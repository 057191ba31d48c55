"""What mitmproxy's protocol layers lack: bounds on what they hold, answers before the end of an upload, trailers."""
