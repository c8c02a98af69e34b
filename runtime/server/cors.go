package server

import (
	"slices"

	"github.com/valyala/fasthttp"
)

// allowOrigin lets a web page of an allowed origin read the answer. Without this header browsers keep it from the page.
func (s *Server) allowOrigin(c *fasthttp.RequestCtx) {
	origin := string(c.Request.Header.Peek("Origin"))
	if origin == "" || len(s.config.AllowOrigins) == 0 {
		return
	}
	c.Response.Header.Add("Vary", "Origin")
	switch {
	case slices.Contains(s.config.AllowOrigins, "*"):
		c.Response.Header.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(s.config.AllowOrigins, origin):
		c.Response.Header.Set("Access-Control-Allow-Origin", origin)
	default:
		return
	}
	c.Response.Header.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, Retry-After-Ms")
}

// preflight tells a browser what a page of an allowed origin may send.
func (s *Server) preflight(c *fasthttp.RequestCtx) {
	if c.Response.Header.Peek("Access-Control-Allow-Origin") == nil {
		return
	}
	c.Response.Header.Set("Access-Control-Allow-Methods", "GET, POST")
	c.Response.Header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id")
	c.Response.Header.Set("Access-Control-Max-Age", "600")
}
