package server

import (
	"cmp"
	"context"
	"slices"

	"github.com/valyala/fasthttp"

	"llmc/runtime/encode"
)

type tokenUsage struct {
	Prompt int `json:"prompt_tokens"`
	Total  int `json:"total_tokens"`
}

type rerankText struct {
	Text string `json:"text"`
}

type rerankResult struct {
	Index    int         `json:"index"`
	Document *rerankText `json:"document,omitempty"`
	Score    float64     `json:"relevance_score"`
}

type rerankAnswer struct {
	ID      string         `json:"id"`
	Model   string         `json:"model"`
	Usage   tokenUsage     `json:"usage"`
	Results []rerankResult `json:"results"`
}

// rerank answers POST /v1/rerank: documents in the order of what they have to do with a query, as Jina's and Cohere's clients ask for.
func (s *Server) rerank(c *fasthttp.RequestCtx) error {
	return s.encoded(c, onRerank, func(ctx context.Context, r *request) error {
		scores, tokens, err := r.compare(ctx, "query", "documents")
		if err != nil {
			return err
		}
		answer := rerankAnswer{ID: "rerank-" + s.newID(), Model: r.model.Name, Usage: tokenUsage{tokens, tokens}}
		for i, score := range scores {
			result := rerankResult{Index: i, Score: score}
			if r.returnDocuments {
				result.Document = &rerankText{r.documents[i]}
			}
			answer.Results = append(answer.Results, result)
		}
		slices.SortStableFunc(answer.Results, func(a, b rerankResult) int { return cmp.Compare(b.Score, a.Score) })
		if r.topN != unset && r.topN < len(answer.Results) {
			answer.Results = answer.Results[:r.topN]
		}
		writeJSON(c, answer)
		return nil
	})
}

type scoreResult struct {
	Index  int     `json:"index"`
	Object string  `json:"object"`
	Score  float64 `json:"score"`
}

type scoreAnswer struct {
	ID      string        `json:"id"`
	Object  string        `json:"object"`
	Created int64         `json:"created"`
	Model   string        `json:"model"`
	Data    []scoreResult `json:"data"`
	Usage   tokenUsage    `json:"usage"`
}

// score answers POST /v1/score, as vLLM has it: one text with each of others, or texts pair by pair.
func (s *Server) score(c *fasthttp.RequestCtx) error {
	return s.encoded(c, onScore, func(ctx context.Context, r *request) error {
		scores, tokens, err := r.compare(ctx, "text_1", "text_2")
		if err != nil {
			return err
		}
		answer := scoreAnswer{
			ID: "score-" + s.newID(), Object: "list", Created: s.now().Unix(), Model: r.model.Name, Usage: tokenUsage{tokens, tokens},
		}
		for i, score := range scores {
			answer.Data = append(answer.Data, scoreResult{i, "score", score})
		}
		writeJSON(c, answer)
		return nil
	})
}

// compare scores each document with its query, the only one or that of the same index: by what a reranker gives for the pair, or by the cosine of two
// embeddings. one and other are the fields that the texts are from.
func (r *request) compare(ctx context.Context, one, other string) (scores []float64, tokens int, err error) {
	var inputs []encode.Input
	add := func(field string, texts ...string) {
		if err == nil {
			var in encode.Input
			in, err = r.sequence(field, texts...)
			inputs, tokens = append(inputs, in), tokens+len(in.IDs)
		}
	}
	query := func(i int) int { return min(i, len(r.queries)-1) }
	pairs := r.model.Encoder.Gives() == "score"
	for i, text := range r.documents {
		if pairs {
			add(other, r.queries[query(i)], text)
		} else {
			add(other, text)
		}
	}
	if !pairs {
		for _, text := range r.queries {
			add(one, text)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	rows, err := r.vectors(ctx, inputs)
	if err != nil {
		return nil, 0, err
	}
	for i := range r.documents {
		if pairs {
			scores = append(scores, float64(rows[i][0]))
		} else {
			scores = append(scores, cosine(rows[i], rows[len(r.documents)+query(i)]))
		}
	}
	return scores, tokens, nil
}
