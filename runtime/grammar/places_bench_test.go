package grammar

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// placeSources are descriptions of all kinds that are asked for, with the hard ones among them.
func placeSources() []benchSource {
	schema := func(name, text string) benchSource {
		return benchSource{name, Source{Kind: JSONSchema, Text: text}}
	}
	tool := func(name, properties string) string {
		return `{"type":"object","properties":{"name":{"const":"` + name + `"},"arguments":{"type":"object","properties":{` + properties + `}}},"required":["name","arguments"]}`
	}
	var choices []string
	for i := range 10_000 {
		choices = append(choices, fmt.Sprintf("%s %x of %d", []string{"order", "invoice", "Rechnung", "ticket", "заказ"}[i%5], i*7919, i))
	}
	length := func(from, to int) benchSource {
		return schema(fmt.Sprintf("length %d to %d", from, to), fmt.Sprintf(`{"type":"object","properties":{"text":{"type":"string","minLength":%d,"maxLength":%d},"note":{"type":"string","minLength":%d,"maxLength":%d}},"required":["text","note"]}`, from, to, from, to))
	}
	format := func(name string) benchSource {
		return schema(name, `{"type":"array","items":{"type":"string","format":"`+name+`"}}`)
	}
	return []benchSource{
		{"any object", Source{Kind: JSONObject}},
		schema("nested objects", `{"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"object","properties":{"c":{"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"},"ok":{"type":"boolean"},`+
			`"text":{"type":"string"}},"required":["id","ok","text"]}}},"required":["c"]}},"required":["b"]}},"required":["a"]}`),
		schema("unions", benchSources[5].Text),
		schema("enum of 1000", `{"type":"array","items":{"enum":[`+manyNames(1000)+`]}}`),
		schema("pattern", `{"type":"array","items":{"type":"string","pattern":"^[A-Z][A-Za-z0-9 _-]{4,40}$"}}`),
		format("date-time"), format("email"), format("uuid"), format("uri"), format("hostname"),
		length(0, 20), length(10, 500), length(0, 5000), length(3000, 4000),
		benchSource{"arithmetic", benchSources[10].Source},
		benchSource{"chess", Source{Kind: EBNF, Text: chessGrammar}},
		benchSource{"C", Source{Kind: EBNF, Text: cGrammar}},
		benchSource{"regex counted", Source{Kind: Regex, Text: `([A-Za-z]{1,30}, ){1,20}[а-яё]{2,200}(: [^\n]{5,100}\n){0,8}end`}},
		benchSource{"regex alternatives", Source{Kind: Regex, Text: `((red|green|blue)[a-z]*|\w+@\w+\.(com|org)|[^ ]{1,12}) (.*)!`}},
		benchSource{"choice of 10000", Source{Kind: Choice, Choices: choices}},
		schema("tools", `{"type":"array","minItems":1,"items":{"anyOf":[`+tool("search", `"query":{"type":"string"},"limit":{"type":"integer","minimum":1,"maximum":50},"lang":{"enum":["en","de","fr"]}`)+","+
			tool("mail", `"to":{"type":"array","items":{"type":"string","format":"email"}},"subject":{"type":"string","maxLength":120},"body":{"type":"string"}`)+","+
			tool("weather", `"city":{"type":"string","minLength":1},"days":{"type":"integer"},"unit":{"enum":["C","F"]}`)+","+
			tool("run", `"code":{"type":"string"},"args":{"type":"object","additionalProperties":{"type":"string"}},"timeout":{"type":"number"}`)+`]}}`),
	}
}

// chessGrammar is games in algebraic notation.
const chessGrammar = `root ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")+
move ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?`

// cGrammar is a part of C.
const cGrammar = `root ::= (declaration)+
declaration ::= type ws name "(" parameter? ")" "{" ws statement* "}" ws
type ::= "int" | "float" | "char"
name ::= [a-zA-Z_] [a-zA-Z_0-9]*
parameter ::= type ws name
statement ::= (type ws name ws "=" ws expression ";" ws) | (name ws "=" ws expression ";" ws) | (name "(" argument? ")" ";" ws) | ("return" ws expression ";" ws) |
  ("while" "(" condition ")" "{" ws statement* "}" ws) | ("for" "(" name ws "=" ws expression ";" ws condition ";" ws name ws "=" ws expression ")" "{" ws statement* "}" ws) |
  ("if" "(" condition ")" "{" ws statement* "}" ws ("else" "{" ws statement* "}" ws)?) | ("//" [^\n]* "\n" ws) | ("/*" ([^*] | ("*" [^/]))* "*/" ws)
condition ::= expression ("<=" | "<" | "==" | "!=" | ">=" | ">") expression
expression ::= term (ws ("+" | "-") ws term)*
term ::= (unary | factor) (ws ("*" | "/") ws factor)*
unary ::= "-" factor
factor ::= name | number | call | "(" expression ")"
call ::= name "(" argument? ")"
argument ::= expression ("," ws expression)*
number ::= [0-9]+
ws ::= ([ \t\n]+)?`

// BenchmarkPlaces measures masks at places that an output is at first, and again, while it takes random ways through each description, which has just been compiled for a
// vocabulary that has met no other: the median, the 99th percentile and the longest in µs of a token and the mask behind it, the same and the mean over all tokens, what compiling takes in ms and what is kept then in KiB.
// With LLMC_WAIT, a duration, outputs begin so long after, as behind a prompt. LLMC_WORST is how many of the slowest places to print.
func BenchmarkPlaces(b *testing.B) {
	v := largeVocabulary(b)
	wait, _ := time.ParseDuration(os.Getenv("LLMC_WAIT"))
	for _, s := range placeSources() {
		b.Run(strings.ReplaceAll(s.name, " ", "-"), func(b *testing.B) {
			var all placeTimes
			for range b.N {
				v.forget()
				runtime.GC()
				begin := time.Now()
				g, err := newTest(v, s.Source)
				if err != nil {
					b.Fatal(err)
				}
				all.compiling = time.Since(begin)
				time.Sleep(wait)
				for seed := range uint64(12) {
					all.walk(rand.New(rand.NewPCG(seed, 5)), g, seed)
				}
				<-g.prepared
				all.kept = v.bytes() + g.walker.held + g.walker.masked
			}
			all.report(b)
		})
	}
}

// placeTimes is how long masks took at places that were new, and at others.
type placeTimes struct {
	first, again []time.Duration
	compiling    time.Duration
	kept         int64
	slow         []slowPlace
}

type slowPlace struct {
	time  time.Duration
	where string
}

// walk takes up to 200 tokens: some of all that are allowed, some of those that are marks or short, so that there is an end to strings.
func (p *placeTimes) walk(r *rand.Rand, g *Grammar, seed uint64) {
	v := g.v
	m := g.Start()
	var sofar []byte
	for range 200 {
		id := drawToken(r, v, m.Allowed(nil))
		if id < 0 {
			return
		}
		sofar = append(sofar, v.tokens.at(id)...)
		before := m.s
		known := m.behind(before, id, !m.begun).mask != nil
		begin := time.Now()
		progress := m.Accept(id)
		took := time.Since(begin)
		if known {
			p.again = append(p.again, took)
		} else {
			p.first = append(p.first, took)
			p.slow = append(p.slow, slowPlace{took, fmt.Sprintf("seed %d, %d bytes, places %d, token %q, behind %q", seed, len(sofar), len(m.s.places), v.tokens.at(id), sofar[max(0, len(sofar)-60):])})
		}
		if progress != Open {
			return
		}
	}
}

// drawToken draws a token of text that is allowed; -1: there is none.
func drawToken(r *rand.Rand, v *Vocabulary, allowed []uint32) int32 {
	most := 0
	if r.IntN(2) == 0 {
		most = 1 + r.IntN(3)
	}
	for try := range 40 {
		id := int32(r.IntN(v.size))
		for step := 0; allowed[id/32]>>(id%32)&1 == 0 || slices.Contains(v.ends, id); step++ {
			if step > 2*v.size {
				return -1
			}
			if allowed[id/32] == 0 {
				id |= 31
			}
			id = (id + 1) % int32(v.size)
		}
		if text := v.tokens.at(id); try == 39 || most == 0 || len(text) <= most && !isLetter(text[0]) {
			return id
		}
	}
	return -1
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 }

func (p *placeTimes) report(b *testing.B) {
	sum := time.Duration(0)
	for _, took := range slices.Concat(p.first, p.again) {
		sum += took
	}
	for _, part := range []struct {
		name  string
		times []time.Duration
	}{{"first", p.first}, {"again", p.again}, {"all", slices.Concat(p.first, p.again)}} {
		if len(part.times) == 0 {
			continue
		}
		slices.Sort(part.times)
		for _, at := range []struct {
			name  string
			share float64
		}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
			b.ReportMetric(float64(part.times[int(at.share*float64(len(part.times)-1))].Nanoseconds())/1000, part.name+"-"+at.name)
		}
	}
	b.ReportMetric(float64(sum.Nanoseconds())/1000/float64(len(p.first)+len(p.again)), "mean")
	b.ReportMetric(float64(len(p.first)), "firsts")
	b.ReportMetric(float64(p.compiling.Microseconds())/1000, "compile-ms")
	b.ReportMetric(float64(p.kept>>10), "KiB")
	slices.SortFunc(p.slow, func(a, b slowPlace) int { return int(b.time - a.time) })
	count := 0
	fmt.Sscan(os.Getenv("LLMC_WORST"), &count)
	for _, s := range p.slow[:min(count, len(p.slow))] {
		b.Logf("%v %s", s.time, s.where)
	}
}

// bytes is how much a vocabulary keeps for its grammars.
func (v *Vocabulary) bytes() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.kept.young.bytes + v.kept.old.bytes
	for _, f := range v.folds {
		n += f.bytes
	}
	return n
}

// forget has a vocabulary have met no grammar.
func (v *Vocabulary) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.kept = newKeptMasks()
	clear(v.folds)
}

// rankedVocabulary is that of a file of tiktoken: a line for each token, its bytes in base64 and its number.
func rankedVocabulary(b *testing.B, name string) *Vocabulary {
	b.Helper()
	file, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	texts := make([][]byte, 151_936) // what is behind the file's are special or none
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		text, number, _ := strings.Cut(lines.Text(), " ")
		id := 0
		if _, err := fmt.Sscan(number, &id); err != nil || id >= len(texts) {
			b.Fatalf("%s: %q is no token", name, lines.Text())
		}
		if texts[id], err = base64.StdEncoding.DecodeString(text); err != nil {
			b.Fatal(err)
		}
	}
	return NewVocabulary(len(texts), func(id int32) Token { return Token{texts[id], texts[id]} }, []int32{int32(len(texts) - 1)})
}
