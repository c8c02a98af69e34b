package server

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// The OpenAPI document is made of the table of routes, of described, and of the tables of fields, for the models that there are: names and token ids in it are
// theirs. Tests hold it to the tables, and a client of its own to the server (schemathesis).

// openAPI answers GET /openapi.json.
func (s *Server) openAPI(c *fasthttp.RequestCtx) error {
	writeJSON(c, s.openAPIDocument())
	return nil
}

// openAPIDocument is the OpenAPI 3.1 document of the server as it is.
func (s *Server) openAPIDocument() schema {
	models := s.models.current()
	paths := map[string]schema{}
	for _, row := range s.offers {
		path := strings.ReplaceAll(row.path, ":*}", "}")
		if paths[path] == nil {
			paths[path] = schema{}
		}
		paths[path][strings.ToLower(row.method)] = s.operation(row, path, models)
	}
	document := schema{
		"openapi": "3.1.0", "info": schema{"title": "llmrun", "version": cmp.Or(s.config.Version, "0"), "description": "Server of language models. Fields that are not here are refused: ignoring one could change the result."},
		"paths": paths, "components": schema{"schemas": componentsFor(models)},
	}
	if s.config.Keys != nil {
		document["components"].(schema)["securitySchemes"] = schema{"key": schema{"type": "http", "scheme": "bearer"}}
	}
	return document
}

// componentsFor are the schemas that depend on the models: ids and widths that all of them have.
func componentsFor(models []*Model) schema {
	vocabulary, width := 0, 0
	least := func(to *int, n int) {
		if n > 0 && (*to == 0 || n < *to) {
			*to = n
		}
	}
	for _, m := range models {
		least(&vocabulary, m.Info.Vocab)
		if m.Encoder != nil && m.Encoder.Gives() == "embedding" {
			least(&width, m.Encoder.Width())
		}
	}
	vocabulary, width = max(vocabulary, 1), max(width, 1)
	return schema{
		"TokenID":    integers(0, int64(vocabulary-1)),
		"TokenName":  schema{"type": "string", "pattern": tokenNames(vocabulary)},
		"Dimensions": integers(1, int64(width)),
		"Error":      errorAnswer, "TGIError": schemaOf(reflect.TypeFor[tgiError]()), "KServeError": schemaOf(reflect.TypeFor[kserveError]()),
	}
}

// describedAs finds what is said of a route; those of a version of a model are the model's.
func describedAs(method, path string) (operation, bool) {
	o, ok := described[method+" "+strings.Replace(path, "/versions/{version}", "", 1)]
	return o, ok
}

func (s *Server) operation(row route, path string, models []*Model) schema {
	said, _ := describedAs(row.method, path)
	o := schema{"summary": said.summary, "operationId": operationID(row.method, path), "responses": schema{
		"200":     schema{"description": "The answer.", "content": said.content()},
		"default": schema{"description": "An error.", "content": schema{"application/json": schema{"schema": errorSchema(row)}}},
	}}
	if s.config.Keys != nil && (row.access == withKey || row.access == withMetrics && !s.config.OpenMetrics) {
		o["security"] = []schema{{"key": []string{}}}
	}
	var parameters []schema
	for _, name := range []string{"model", "version"} {
		if strings.Contains(path, "{"+name+"}") {
			says := aText
			if name == "model" && !strings.Contains(path, "/repository/") {
				says = namesOf(models, func(m *Model) bool { return !said.writes || m.Encoder == nil })
			}
			parameters = append(parameters, schema{"name": name, "in": "path", "required": true, "schema": says})
		}
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if body := said.bodyFor(models); body != nil {
		o["requestBody"] = schema{"required": !said.bare, "content": schema{"application/json": schema{"schema": body}}}
	}
	return o
}

// operationID makes a name of a route: "post_v1_chat_completions".
func operationID(method, path string) string {
	words := strings.FieldsFunc(strings.ToLower(method+path), func(r rune) bool { return strings.ContainsRune("/{}._", r) })
	return strings.Join(words, "_")
}

func errorSchema(row route) schema {
	name := "Error"
	if row.refusal != nil {
		switch _, body := row.refusal(&apiError{}); body.(type) {
		case tgiError:
			name = "TGIError"
		case kserveError:
			name = "KServeError"
		}
	}
	return schema{"$ref": "#/components/schemas/" + name}
}

// content is the answer by its media types.
func (o operation) content() schema {
	content := schema{}
	if o.streams {
		content[eventStream] = schema{}
	}
	if o.answer != nil && !o.only {
		says, ok := o.answer.(schema)
		if !ok {
			says = schemaOf(reflect.TypeOf(o.answer))
		}
		content[cmp.Or(o.kind, "application/json")] = schema{"schema": says}
	}
	return content
}

// bodyFor is the schema of the body: of the fields that the endpoint has, in which model is one of those that there are.
func (o operation) bodyFor(models []*Model) schema {
	if o.on == 0 {
		return o.body
	}
	members := map[string]schema{}
	for _, row := range fieldSchemas {
		if row.on&o.on != 0 {
			members[row.name] = row.says
		}
	}
	required := slices.Clone(requiredFields[o.on])
	if o.on == onEmbeddings && slices.ContainsFunc(models, (*Model).encodesImages) {
		members["messages"], required = embeddedSchema, nil
	}
	members["model"] = namesOf(models, func(m *Model) bool { return m.serves(o.on) == nil })
	if len(models) > 1 {
		required = append(required, "model")
	}
	return object(required, members)
}

// namesOf is one of the names of models; where there are none, any text.
func namesOf(models []*Model, that func(*Model) bool) schema {
	var names []any
	for _, m := range models {
		if that(m) {
			names = append(names, m.Name)
		}
	}
	if names == nil {
		return schema{"type": "string", "maxLength": maxNameBytes}
	}
	return oneOf(names...)
}

// sorted are the keys of a set, in order.
func sorted(set map[string]bool) (keys []any) {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		keys = append(keys, key)
	}
	return keys
}
