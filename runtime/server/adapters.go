package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/valyala/fasthttp"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/server/strictjson"
)

// AdapterHost loads adapters beside a model while it runs.
type AdapterHost interface {
	LoadAdapter(plan *engine.Plan) (*runtime.Adapter, error)
}

// Adapters say how a model gets adapters.
type Adapters struct {
	Host AdapterHost
	// Open opens the adapter that a client or the command line names by a path of this machine: its plan, or a directory of which one is made.
	Open func(ctx context.Context, path string) (*engine.Plan, error)
}

// maxAdapterName bounds names; whoever loads an adapter chooses one.
const maxAdapterName = 256

// LoadAdapter offers an adapter under a name, beside the model called base; "" is the only one that takes adapters. The name is free, or that of an adapter
// that it takes the place of: requests that have that one go on to their end with it.
func (s *Server) LoadAdapter(ctx context.Context, base, name, path string, inPlace bool) error {
	m, err := s.models.host(base)
	if err != nil {
		return err
	}
	if name == "" || len(name) > maxAdapterName || strings.ContainsFunc(name, unicode.IsControl) {
		return invalid("lora_name", "invalid_value", "lora_name: must be text of one line, of at most %d bytes", maxAdapterName)
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if other := s.models.named(name); other != nil && (!inPlace || other.Adapter == nil) {
		return invalid("lora_name", "invalid_value", "the name %.200q is taken: unload that adapter first, or load with load_inplace", name)
	}
	offered, err := s.loadBeside(ctx, m, name, path)
	if err != nil {
		return err
	}
	if before := s.models.put(offered); before != nil {
		before.Adapter.Unload()
	}
	return nil
}

// adapterError says what is wrong with an adapter.
func adapterError(err error, path string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &apiError{status: 404, kind: kindRequest, code: "adapter_not_found", param: "lora_path", message: fmt.Sprintf("no adapter at %.500q", path)}
	case errors.Is(err, runtime.ErrDraining):
		return err
	}
	return invalid("lora_path", "invalid_adapter", "%.1000s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// UnloadAdapter takes an adapter away. Requests that have it go on to their end.
func (s *Server) UnloadAdapter(name string) error {
	m := s.models.remove(name)
	if m == nil {
		return &apiError{status: 404, kind: kindRequest, code: "adapter_not_found", param: "lora_name", message: fmt.Sprintf("no adapter is called %.200q", name)}
	}
	m.Adapter.Unload()
	return nil
}

// loadAdapter answers POST /v1/load_lora_adapter, in the words of vLLM.
func (s *Server) loadAdapter(c *fasthttp.RequestCtx) error {
	fields, err := textFields(c.PostBody(), []string{"lora_name", "lora_path"}, "base_model_name", inPlaceField)
	if err != nil {
		return err
	}
	if err := s.LoadAdapter(s.base, fields["base_model_name"], fields["lora_name"], fields["lora_path"], fields[inPlaceField] == "true"); err != nil {
		return err
	}
	c.SetContentType("text/plain; charset=utf-8")
	c.SetBodyString(fmt.Sprintf("Success: LoRA adapter '%s' added successfully.", fields["lora_name"]))
	return nil
}

// unloadAdapter answers POST /v1/unload_lora_adapter.
func (s *Server) unloadAdapter(c *fasthttp.RequestCtx) error {
	fields, err := textFields(c.PostBody(), []string{"lora_name"})
	if err != nil {
		return err
	}
	if err := s.UnloadAdapter(fields["lora_name"]); err != nil {
		return err
	}
	c.SetContentType("text/plain; charset=utf-8")
	c.SetBodyString(fmt.Sprintf("Success: LoRA adapter '%s' removed successfully.", fields["lora_name"]))
	return nil
}

// inPlaceField asks for an adapter to take the place of one of its name, as vLLM has it: the one field that is no text.
const inPlaceField = "load_inplace"

// textFields reads an object of strings, of which some must be there.
func textFields(body []byte, needed []string, optional ...string) (map[string]string, error) {
	value, err := strictjson.Check(body)
	if err != nil {
		return nil, invalid("", "invalid_json", "the body is not valid JSON: %v", err)
	}
	members, ok := value.Object()
	if !ok {
		return nil, invalid("", "invalid_type", "the body must be a JSON object, not %s", value.Kind())
	}
	fields := map[string]string{}
	for _, m := range members {
		if !slices.Contains(needed, m.Key) && !slices.Contains(optional, m.Key) {
			return nil, invalid(clip(m.Key, maxParam), "unknown_parameter", "unknown parameter %.64q: this takes %s", m.Key, strings.Join(append(slices.Clone(needed), optional...), ", "))
		}
		text, ok := m.Value.Text()
		if on, isBool := m.Value.Bool(); isBool && m.Key == inPlaceField {
			text, ok = strconv.FormatBool(on), true
		}
		if !ok && !m.Value.IsNull() {
			return nil, invalid(m.Key, "invalid_type", "%s: must be a string, not %s", m.Key, m.Value.Kind())
		}
		fields[m.Key] = text
	}
	for _, name := range needed {
		if fields[name] == "" {
			return nil, missing(name)
		}
	}
	return fields, nil
}
