"""Where inference traffic goes."""
