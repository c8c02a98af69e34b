package server

import (
	"net/url"

	"github.com/valyala/fasthttp"
)

// modelEntry is a model in the lists. max_model_len, root and parent are vLLM's additions.
type modelEntry struct {
	ID      string  `json:"id"`
	Object  string  `json:"object"`
	Created int64   `json:"created"`
	OwnedBy string  `json:"owned_by"`
	Root    string  `json:"root"`
	Parent  *string `json:"parent"` // of an adapter: its model
	Context int     `json:"max_model_len"`
}

type modelList struct {
	Object string       `json:"object"`
	Data   []modelEntry `json:"data"`
}

func entryOf(m *Model) modelEntry {
	e := modelEntry{ID: m.Name, Object: "model", Created: m.Created.Unix(), OwnedBy: "llmc", Root: m.Info.Name, Context: m.MaxContext}
	if m.Adapter != nil {
		e.Root, e.Parent = m.Root, &m.Parent
	}
	return e
}

// listModels answers GET /v1/models.
func (s *Server) listModels(c *fasthttp.RequestCtx) error {
	list := modelList{Object: "list", Data: []modelEntry{}}
	for _, m := range s.models.current() {
		if m.Node != nil { // none of the APIs that read this list reaches it
			continue
		}
		list.Data = append(list.Data, entryOf(m))
	}
	writeJSON(c, list)
	return nil
}

// showModel answers GET /v1/models/{model}. Names may hold slashes, plain or escaped.
func (s *Server) showModel(c *fasthttp.RequestCtx) error {
	name, _ := c.UserValue("model").(string)
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	m, err := s.models.find(name)
	if err != nil {
		return err
	}
	writeJSON(c, entryOf(m))
	return nil
}
