package server

import (
	"fmt"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

type healthAnswer struct {
	Status string `json:"status"`
}

// health answers GET /health: 200 if requests are taken and every model is idle or makes progress.
func (s *Server) health(c *fasthttp.RequestCtx) error {
	if s.inflight.isDraining() {
		return errStopping
	}
	for _, m := range s.models.list {
		if err := m.health(); err != nil {
			s.log.Error("unhealthy", "model", m.Name, "err", err)
			return &apiError{status: 503, kind: kindBusy, code: "no_progress", message: fmt.Sprintf("model %.200q makes no progress", m.Name)}
		}
	}
	writeJSON(c, healthAnswer{Status: "ok"})
	return nil
}

type versionAnswer struct {
	Version string `json:"version"`
}

// version answers GET /version.
func (s *Server) version(c *fasthttp.RequestCtx) error {
	writeJSON(c, versionAnswer{Version: s.config.Version})
	return nil
}

// metrics answers GET /metrics.
func (s *Server) metrics(c *fasthttp.RequestCtx) error {
	if s.config.Metrics == nil {
		return notFound(s, c)
	}
	fasthttpadaptor.NewFastHTTPHandler(s.config.Metrics.Handler())(c)
	return nil
}
