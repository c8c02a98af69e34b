package reply

import (
	"regexp"
	"slices"
	"strings"
)

// Format is how a model writes reasoning and calls. The zero value is content alone.
type Format struct {
	thinkBegin, thinkEnd string // around reasoning
	calls                *callFormat
}

// Reasons tells whether models of this format may write reasoning, Calls whether they may call tools.
func (f Format) Reasons() bool { return f.thinkEnd != "" || f.channeled() }
func (f Format) Calls() bool   { return f.calls != nil }

func (f Format) channeled() bool { return f.calls != nil && f.calls.channels }

// Marked tells whether one of the markers is a token that is left out of texts; then the parts of a reply can only be told apart in texts that have them.
func (f Format) Marked(special func(marker string) bool) bool {
	markers := []string{f.thinkBegin, f.thinkEnd}
	if f.calls != nil {
		markers = slices.Concat(markers, f.calls.begin, f.calls.ends, f.calls.noise)
	}
	return slices.ContainsFunc(markers, func(m string) bool { return m != "" && special(m) })
}

// callFormat is one way to write calls.
type callFormat struct {
	taught []string // a template with all of these teaches it
	begin  []string // markers, the first that comes counts
	bare   byte     // calls may also begin content with this byte, without a marker
	body   state
	// Of calls in JSON: what ends them, and what stands around objects and names. Without ends they go on as long as there are any.
	ends, noise []string
	tags        *tagForm
	channels    bool // reasoning and content stand in parts of their own, too
}

// callFormats are the ways to write calls. The first that a template teaches counts.
var callFormats = []callFormat{
	{taught: []string{"<|channel|>", "<|message|>"}, begin: []string{"<|channel|>", "<|start|>"}, body: (*Parser).harmonyHeader, channels: true}, // gpt-oss
	{taught: []string{"｜DSML｜"}, begin: []string{"<｜DSML｜function_calls>", "<｜DSML｜tool_calls>"}, body: (*Parser).tagged, tags: invokeTags("｜DSML｜")},
	{taught: []string{"<atem:invoke name="}, begin: []string{"<atem:function_calls>"}, body: (*Parser).tagged, tags: invokeTags("atem:")},
	{taught: []string{"<tool_call>", "<function="}, begin: []string{"<tool_call>", "<function="}, body: (*Parser).tagged, tags: &functionTags},
	{taught: []string{"<function="}, begin: []string{"<function="}, body: (*Parser).jsonCalls, ends: []string{"</function>"}, noise: []string{">"}},
	{taught: []string{"<arg_key", ":opensource"}, begin: []string{"<tool_calls:opensource>"}, body: (*Parser).tagged, tags: keyTags(":opensource")},
	{taught: []string{"<arg_key>"}, begin: []string{"<tool_call>"}, body: (*Parser).tagged, tags: keyTags("")},
	{taught: []string{"<|tool_call>call:"}, begin: []string{"<|tool_call>"}, body: (*Parser).quotes},
	{taught: []string{"<|tool_call_start|>"}, begin: []string{"<|tool_call_start|>"}, body: (*Parser).python, ends: []string{"<|tool_call_end|>"}},
	{taught: []string{"<tool_calls>"}, begin: []string{"<tool_calls>"}, body: (*Parser).jsonCalls, ends: []string{"</tool_calls>"}},
	{taught: []string{"<tool_call>"}, begin: []string{"<tool_call>"}, body: (*Parser).jsonCalls, ends: []string{"</tool_call>"}},
	{taught: []string{"<TOOLCALL>"}, begin: []string{"<TOOLCALL>"}, body: (*Parser).jsonCalls, ends: []string{"</TOOLCALL>"}},
	{taught: []string{"[TOOL_CALLS]"}, begin: []string{"[TOOL_CALLS]"}, body: (*Parser).jsonCalls, noise: []string{"[TOOL_CALLS]", "[ARGS]"}},
	{taught: []string{"<|START_ACTION|>"}, begin: []string{"<|START_ACTION|>"}, body: (*Parser).jsonCalls, ends: []string{"<|END_ACTION|>"}},
	{taught: []string{"Action:", "```json"}, begin: []string{"Action:"}, body: (*Parser).jsonCalls, noise: []string{"```json", "```"}},
	{taught: []string{"<|function_call|>"}, begin: []string{"<|function_call|>"}, body: (*Parser).jsonCalls},
	{taught: []string{"<｜tool▁calls▁begin｜>"}, begin: []string{"<｜tool▁calls▁begin｜>"}, body: (*Parser).jsonCalls, ends: []string{"<｜tool▁calls▁end｜>"},
		noise: []string{"<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "```json", "```"}},
	{taught: []string{"<|tool_calls_section_begin|>"}, begin: []string{"<|tool_calls_section_begin|>"}, body: (*Parser).jsonCalls, ends: []string{"<|tool_calls_section_end|>"},
		noise: []string{"<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"}},
	{taught: []string{"<|tool_call|>"}, begin: []string{"<|tool_call|>"}, body: (*Parser).jsonCalls, ends: []string{"<|/tool_call|>"}},
	{taught: []string{"<|python_tag|>"}, begin: []string{"<|python_tag|>"}, bare: '{', body: (*Parser).jsonCalls, noise: []string{";"}},
	{taught: []string{`"parameters": `, `{"name": `}, bare: '{', body: (*Parser).jsonCalls, noise: []string{";"}},
	{taught: []string{"func_name1(params_name1=params_value1"}, bare: '[', body: (*Parser).python},
}

// thinking are the markers around reasoning, by which templates show that models reason.
var thinking = []struct{ begin, end string }{
	{"<think>", "</think>"}, {"<think:opensource>", "</think:opensource>"}, {"<mm:think>", "</mm:think>"}, {"<|START_THINKING|>", "<|END_THINKING|>"},
	{"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"},
}

var spelledOut = regexp.MustCompile(`\{#-?[\s\S]*?-?#\}`)

// Detect finds the format that a chat template teaches, by what it writes for calls and reasoning of earlier turns.
func Detect(template string) (f Format) {
	template = spelledOut.ReplaceAllString(template, "") // comments teach nothing
	template = strings.ReplaceAll(template, `\"`, `"`)
	for i := range callFormats {
		if containsAll(template, callFormats[i].taught) {
			f.calls = &callFormats[i]
			break
		}
	}
	if f.channeled() {
		return f
	}
	for _, m := range thinking {
		if strings.Contains(template, m.end) {
			f.thinkBegin, f.thinkEnd = m.begin, m.end
			break
		}
	}
	return f
}

func containsAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
