package server

import (
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"llmc/runtime"
)

// statistics count the inferences of a model since it was loaded, as Triton's statistics extension tells them.
type statistics struct {
	done, failed         atomic.Uint64
	doneTime, failedTime atomic.Uint64 // nanoseconds from arrival to end
	last                 atomic.Int64  // end of the last, Unix milliseconds
}

// add counts an inference: a sequence that was generated, or a request of an encoder.
func (s *statistics) add(good bool, took time.Duration, now time.Time) {
	count, sum := &s.done, &s.doneTime
	if !good {
		count, sum = &s.failed, &s.failedTime
	}
	count.Add(1)
	sum.Add(uint64(max(0, took)))
	s.last.Store(now.UnixMilli())
}

type durationAnswer struct {
	Count uint64 `json:"count"`
	NS    uint64 `json:"ns"`
}

type statisticsAnswer struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Last       uint64 `json:"last_inference"`
	Inferences uint64 `json:"inference_count"`
	Executions uint64 `json:"execution_count"`
	Stats      struct {
		Success durationAnswer `json:"success"`
		Fail    durationAnswer `json:"fail"`
	} `json:"inference_stats"`
}

type statisticsList struct {
	Models []statisticsAnswer `json:"model_stats"`
}

// statistics returns the counts of a model. Executions are steps of its engine, of encoders they are not counted, of models with a Node they are inferences.
func (m *Model) statistics() (a statisticsAnswer) {
	s := m.stats
	a.Name, a.Version, a.Last, a.Inferences = m.Name, m.Version, uint64(s.last.Load()), s.done.Load()
	a.Stats.Success = durationAnswer{s.done.Load(), s.doneTime.Load()}
	a.Stats.Fail = durationAnswer{s.failed.Load(), s.failedTime.Load()}
	if e, ok := m.Backend.(interface{ Stats() runtime.Stats }); ok {
		a.Executions = e.Stats().Steps
	}
	if m.Node != nil {
		a.Executions = a.Inferences
	}
	return a
}

// statisticsOf are those of a model, all its versions or one, or of all models.
func (s *Server) statisticsOf(name, version string) (list []statisticsAnswer, err error) {
	models := s.models.where(func(*Model) bool { return true })
	if name != "" {
		m, err := s.models.version(name, version)
		if err != nil {
			return nil, err
		}
		models = []*Model{m}
		if version == "" {
			models = s.models.versions(m)
		}
	}
	list = []statisticsAnswer{}
	for _, m := range models {
		list = append(list, m.statistics())
	}
	return list, nil
}

func (s *Server) kserveStatistics(c *fasthttp.RequestCtx) error {
	name, _ := c.UserValue("model").(string)
	version, _ := c.UserValue("version").(string)
	list, err := s.statisticsOf(name, version)
	if err != nil {
		return err
	}
	writeJSON(c, statisticsList{list})
	return nil
}
