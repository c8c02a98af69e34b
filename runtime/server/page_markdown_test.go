package server

import (
	"context"
	"strings"
	"testing"
)

// markdownCases are texts of a model and the elements that the page makes of them, lists of attributes left out.
var markdownCases = []struct{ text, want string }{
	{"one\ntwo\n\nthree", "<p>one\ntwo</p><p>three</p>"},
	{"# A *b*", "<h3>A <em>b</em></h3>"},
	{"a **b** `*c*` 2 * 3 * 4", "<p>a <strong>b</strong> <code>*c*</code> 2 * 3 * 4</p>"},
	{"1. a\n   b\n\n2. c", "<ol><li>a\nb</li><li>c</li></ol>"},
	{"3. c", `<ol start="3"><li>c</li></ol>`},
	{"- a\n- b\ntext\n\ntext", "<ul><li>a</li><li>b\ntext</li></ul><p>text</p>"},
	{"> a\n> b\n\nc", "<blockquote>a\nb</blockquote><p>c</p>"},
	{"| a | b |\n|---|:-:|\n| **1** | <i> |\nend", "<div><table><tr><th>a</th><th>b</th></tr><tr><td><strong>1</strong></td><td>&lt;i&gt;</td></tr></table></div><p>end</p>"},
	{"a | b", "<p>a | b</p>"},
}

// testPageMarkdown hands the texts to the page as a kept conversation, so that each is drawn whole.
func testPageMarkdown(t *testing.T, ctx context.Context) {
	ts := startServer(t, &fakeBackend{}, Config{})
	page := openPage(t, ctx, ts)
	for _, c := range markdownCases {
		page.text("localStorage.setItem('llmrun.conversation', JSON.stringify([{role: 'assistant', content: " + quoteJS(c.text) + "}]))")
		page.text("window.leaving = true, setTimeout(() => location.reload(), 0), 0")
		page.await(`!window.leaving && document.readyState === "complete" && document.querySelectorAll(".assistant .body").length === 1 && document.getElementById("model").value === "tiny"`)
		got := page.text(`document.querySelector(".assistant .body").innerHTML`)
		if got = strings.ReplaceAll(got, ` class="table"`, ""); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.text, got, c.want)
		}
	}
	page.text(`localStorage.clear()`)
}
