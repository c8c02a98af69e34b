package server

import (
	"slices"

	"github.com/valyala/fasthttp"

	"llmc/engine"
)

// The Open Inference Protocol (KServe v2, open_inference_rest.yaml of kserve/open-inference-protocol) with Triton's extensions for generation, binary
// tensors, configuration, statistics and the repository of models.

var kserveRoutes = slices.Concat(
	[]route{
		{method: "GET", path: "/v2", handle: (*Server).kserveServer, refusal: inKServeWords},
		{method: "GET", path: "/v2/health/live", access: anybody, handle: (*Server).live, refusal: inKServeWords},
		{method: "GET", path: "/v2/health/ready", access: anybody, handle: (*Server).health, refusal: inKServeWords},
		{method: "GET", path: "/v2/models/stats", handle: (*Server).kserveStatistics, refusal: inKServeWords},
		{method: "POST", path: "/v2/repository/index", handle: (*Server).kserveIndex, refusal: inKServeWords},
		{method: "POST", path: "/v2/repository/models/{model}/load", handle: (*Server).kserveLoad, refusal: inKServeWords},
		{method: "POST", path: "/v2/repository/models/{model}/unload", handle: (*Server).kserveUnload, refusal: inKServeWords},
	},
	ofModel("GET", "", (*Server).kserveModel),
	ofModel("GET", "/ready", (*Server).kserveReady),
	ofModel("GET", "/config", (*Server).kserveConfig),
	ofModel("GET", "/stats", (*Server).kserveStatistics),
	ofModel("POST", "/infer", (*Server).kserveInfer),
	ofModel("POST", "/generate", (*Server).tritonGenerate),
	ofModel("POST", "/generate_stream", (*Server).tritonStream),
)

// ofModel are the routes of a model, with and without its version.
func ofModel(method, path string, handle func(*Server, *fasthttp.RequestCtx) error) []route {
	return []route{
		{method: method, path: "/v2/models/{model}" + path, handle: handle, refusal: inKServeWords},
		{method: method, path: "/v2/models/{model}/versions/{version}" + path, handle: handle, refusal: inKServeWords},
	}
}

type kserveError struct {
	Error string `json:"error"`
}

func inKServeWords(e *apiError) (int, any) { return e.status, kserveError{e.message} }

// modelOfPath is the model that a path names.
func (s *Server) modelOfPath(c *fasthttp.RequestCtx) (*Model, error) {
	name, _ := c.UserValue("model").(string)
	version, _ := c.UserValue("version").(string)
	return s.models.version(name, version)
}

type serverMetadata struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

func (s *Server) metadata() serverMetadata {
	return serverMetadata{Name: "llmrun", Version: s.config.Version, Extensions: []string{
		"binary_tensor_data", "generate", "model_configuration", "model_repository", "model_repository(unload_dependents)", "statistics",
	}}
}

func (s *Server) kserveServer(c *fasthttp.RequestCtx) error {
	writeJSON(c, s.metadata())
	return nil
}

// tensorSpec is an input or output of a model as its metadata and configuration list it; -1 is any number.
type tensorSpec struct {
	Name     string  `json:"name"`
	Type     string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
	Optional bool    `json:"optional,omitempty"`
}

type modelMetadata struct {
	Name     string       `json:"name"`
	Versions []string     `json:"versions"`
	Platform string       `json:"platform"`
	Inputs   []tensorSpec `json:"inputs"`
	Outputs  []tensorSpec `json:"outputs"`
}

func (s *Server) kserveModel(c *fasthttp.RequestCtx) error {
	m, err := s.modelOfPath(c)
	if err != nil {
		return err
	}
	writeJSON(c, s.metadataOf(m))
	return nil
}

// platform is what plans are called in the words of Triton.
const platform = "llmc_plan"

func (s *Server) metadataOf(m *Model) modelMetadata {
	a := modelMetadata{Name: m.Name, Platform: m.platform()}
	for _, version := range s.models.versions(m) {
		a.Versions = append(a.Versions, version.Version)
	}
	a.Inputs, a.Outputs = m.tensors()
	return a
}

// Tensors are the names of the inputs and outputs of a model.
func (m *Model) Tensors() (inputs, outputs []string) {
	in, out := m.tensors()
	for _, t := range in {
		inputs = append(inputs, t.Name)
	}
	for _, t := range out {
		outputs = append(outputs, t.Name)
	}
	return inputs, outputs
}

// tensors are the inputs and outputs of a model.
func (m *Model) tensors() (inputs, outputs []tensorSpec) {
	if m.Node != nil {
		signature := m.Node.Signature()
		return specsOf(signature.Inputs), specsOf(signature.Outputs)
	}
	if m.Encoder != nil {
		texts, images := m.Encoder.Reads()
		if texts {
			inputs = []tensorSpec{{"text", "BYTES", []int64{-1, 1}, true}, {"text_pair", "BYTES", []int64{-1, 1}, true}, {"prompt_name", "BYTES", []int64{1}, true},
				{inputIDs, "INT64", []int64{-1, -1}, true}, {attentionMask, "INT64", []int64{-1, -1}, true}}
		}
		if s := m.Info.Image; images && s != nil {
			inputs = append(inputs, tensorSpec{imageFiles, "BYTES", []int64{-1, 1}, true},
				tensorSpec{pixelValues, "FP32", []int64{-1, engine.ImageChannels, int64(s.Height), int64(s.Width)}, true})
		}
		return inputs, []tensorSpec{{m.Encoder.Gives(), "FP32", []int64{-1, int64(m.Encoder.Width())}, false}}
	}
	inputs = []tensorSpec{{textInput, "BYTES", []int64{-1, 1}, false}}
	for _, p := range tritonParameters {
		shape := []int64{1}
		if p.many {
			shape[0] = -1
		}
		inputs = append(inputs, tensorSpec{p.name, p.datatype, shape, true})
	}
	return inputs, []tensorSpec{{"text_output", "BYTES", []int64{-1, 1}, false}, {"finish_reason", "BYTES", []int64{-1, 1}, true}}
}

type readyAnswer struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
}

func (s *Server) kserveReady(c *fasthttp.RequestCtx) error {
	m, err := s.modelOfPath(c)
	if err != nil {
		return err
	}
	if err := s.modelReady(m); err != nil {
		return err
	}
	writeJSON(c, readyAnswer{m.Name, true})
	return nil
}

// modelReady returns why a model takes no requests.
func (s *Server) modelReady(m *Model) error {
	if s.inflight.isDraining() {
		return errStopping
	}
	if m.health() != nil {
		return m.stuck()
	}
	return m.Available()
}

// configTensor is an input or output in the words of Triton's model configuration (model_config.proto).
type configTensor struct {
	Name     string  `json:"name"`
	Type     string  `json:"data_type"`
	Dims     []int64 `json:"dims"`
	Optional bool    `json:"optional,omitempty"`
}

type modelConfig struct {
	Name     string          `json:"name"`
	Platform string          `json:"platform"`
	Ensemble *ensembleConfig `json:"ensemble_scheduling,omitempty"`
	Backend  string          `json:"backend"`
	Batch    int             `json:"max_batch_size"`
	Inputs   []configTensor  `json:"input"`
	Outputs  []configTensor  `json:"output"`
	Policy   struct {
		Decoupled bool `json:"decoupled"`
	} `json:"model_transaction_policy"`
}

func (s *Server) kserveConfig(c *fasthttp.RequestCtx) error {
	m, err := s.modelOfPath(c)
	if err != nil {
		return err
	}
	writeJSON(c, configOf(m))
	return nil
}

func configOf(m *Model) modelConfig {
	inputs, outputs := m.tensors()
	config := modelConfig{Name: m.Name, Platform: platform, Backend: "llmc", Inputs: configTensors(inputs), Outputs: configTensors(outputs)}
	config.Policy.Decoupled = m.decoupled()
	if m.Node != nil {
		config.ofNode(m)
	}
	return config
}

func configTensors(specs []tensorSpec) (list []configTensor) {
	for _, t := range specs {
		kind := "TYPE_" + t.Type
		if t.Type == "BYTES" {
			kind = "TYPE_STRING"
		}
		list = append(list, configTensor{t.Name, kind, t.Shape, t.Optional})
	}
	return list
}
