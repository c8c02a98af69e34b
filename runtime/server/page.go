package server

import (
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"
)

// The chat page is one document; its parts are kept apart for reading.
var (
	//go:embed page/chat.html
	pageHTML string
	//go:embed page/chat.css
	pageCSS string
	//go:embed page/markdown.js
	markdownJS string
	//go:embed page/chat.js
	chatJS string
)

// page is the document, and pagePolicy what it may do: run this script and style, found by their digests, and talk to this
// server. Nothing that a model or a client writes can become a script.
var page, pagePolicy = assemblePage(pageHTML, pageCSS, markdownJS+"\n"+chatJS)

func assemblePage(html, css, js string) (document, policy string) {
	document = strings.NewReplacer("/*css*/", css, "/*js*/", js).Replace(html)
	digest := func(part string) string {
		sum := sha256.Sum256([]byte(part))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	policy = fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; connect-src 'self'; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'", digest(js), digest(css))
	return document, policy
}

// chatPage answers GET /.
func (s *Server) chatPage(c *fasthttp.RequestCtx) error {
	showPage(c, page, pagePolicy)
	return nil
}

func showPage(c *fasthttp.RequestCtx, document, policy string) {
	c.SetContentType("text/html; charset=utf-8")
	h := &c.Response.Header
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	c.SetBodyString(document)
}
