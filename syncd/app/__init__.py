"""The process: settings become running channels, walkers are started, watched, reloaded and drained."""
