package server

import (
	"fmt"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

type healthAnswer struct {
	Status string `json:"status"`
}

// health answers GET /health, and /ping as SageMaker asks for it: 200 if requests are taken and every model is idle or makes progress.
func (s *Server) health(c *fasthttp.RequestCtx) error {
	if s.inflight.isDraining() {
		return errStopping
	}
	return s.live(c)
}

// ready answers GET /readyz, by which a balancer sends requests here or elsewhere: it is /health.
func (s *Server) ready(c *fasthttp.RequestCtx) error { return s.health(c) }

// started answers GET /startupz: a server listens when its plans are loaded.
func (s *Server) started(c *fasthttp.RequestCtx) error {
	writeJSON(c, healthAnswer{Status: "ok"})
	return nil
}

// live answers GET /livez, by which an orchestrator restarts what hangs: 200 if every model is idle or makes progress, while the server drains too.
func (s *Server) live(c *fasthttp.RequestCtx) error {
	if err := s.stuck(); err != nil {
		return err
	}
	writeJSON(c, healthAnswer{Status: "ok"})
	return nil
}

// stuck returns why the server is not alive: the first of its models that makes no progress.
func (s *Server) stuck() error {
	for _, m := range s.models.all() {
		if err := m.health(); err != nil {
			s.log.Error("unhealthy", "model", m.Name, "err", err)
			return m.stuck()
		}
	}
	return nil
}

// stuck is the answer of a model that is not healthy.
func (m *Model) stuck() *apiError {
	return &apiError{status: 503, kind: kindBusy, code: "no_progress", message: fmt.Sprintf("model %.200q makes no progress", m.Name)}
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
