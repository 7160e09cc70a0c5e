package nft

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Options of Load.
type Options struct {
	// ReadFile reads a file that another includes; nil refuses includes.
	ReadFile func(name string) ([]byte, error)
}

// Limits of a rule file.
const (
	maxErrors  = 10
	maxTokens  = 4 << 20
	maxInclude = 16
)

// Load reads a rule file. The error is one *Error for each mistake, joined.
func Load(file string, text []byte, o Options) (*Ruleset, error) {
	p := &parser{options: o, texts: map[string]string{}, vars: map[string][]token{}, rules: &Ruleset{}}
	if err := p.add(file, text); err != nil {
		return nil, err
	}
	p.file()
	if len(p.errs) == 0 {
		p.link()
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	p.rules.order()
	return p.rules, nil
}

// parser reads tokens into a Ruleset.
type parser struct {
	options  Options
	texts    map[string]string
	tokens   []token
	i        int
	braces   int // of sets, open at this moment
	includes int
	vars     map[string][]token
	rules    *Ruleset
	table    *Table // the one being read
	errs     []error
	fixups   []fixup
}

// fixup is a named set that a rule asks for.
type fixup struct {
	table *Table
	name  token
	typ   typ
	use   func(*Set) string // returns what is wrong
}

// add puts a file's tokens in front of what is still to be read.
func (p *parser) add(file string, text []byte) error {
	tokens, err := lex(file, string(text))
	if err != nil {
		return err
	}
	p.texts[file] = string(text)
	if p.i < len(p.tokens) {
		tokens[len(tokens)-1].kind = tokNewline // its end is not the whole's
		tokens = append([]token{{kind: tokNewline, pos: tokens[0].pos}}, tokens...)
	}
	p.splice(tokens)
	return nil
}

// splice puts tokens where the parser is.
func (p *parser) splice(tokens []token) {
	if len(p.tokens)+len(tokens) > maxTokens {
		p.fail(tokens[0], "the rules are too long: variables make more than %d words of them", maxTokens)
	}
	p.tokens = append(slices.Clone(tokens), p.tokens[p.i:]...)
	p.i = 0
}

// fail ends the statement with an error at a token.
func (p *parser) fail(t token, format string, args ...any) {
	panic(newError(p.texts[t.pos.File], t.pos, fmt.Sprintf(format, args...)))
}

// expected fails because t isn't what.
func (p *parser) expected(t token, what string) {
	p.fail(t, "expected %s, found %s", what, t.describe())
}

// peek is the next token, with variables replaced.
func (p *parser) peek() token {
	for {
		t := p.tokens[p.i]
		if t.kind != tokVar {
			return t
		}
		value, ok := p.vars[t.text]
		if !ok {
			p.fail(t, "there is no variable $%s%s", t.text, suggest(t.text, keys(p.vars)))
		}
		copied := slices.Clone(value)
		for i := range copied {
			copied[i].pos, copied[i].at, copied[i].end = t.pos, t.at, t.end
		}
		p.i++
		if len(copied) == 0 {
			continue
		}
		p.splice(copied)
	}
}

func (p *parser) next() token {
	t := p.peek()
	if t.kind != tokEnd {
		p.i++
	}
	return t
}

// is tells whether the next token is this word or sign.
func (p *parser) is(text string) bool {
	t := p.peek()
	return (t.kind == tokWord || t.kind == tokSign) && t.text == text
}

// take takes the next token if it is this word or sign.
func (p *parser) take(text string) bool {
	if !p.is(text) {
		return false
	}
	p.i++
	return true
}

func (p *parser) need(text string) token {
	if !p.is(text) {
		p.expected(p.peek(), fmt.Sprintf("%q", text))
	}
	return p.next()
}

// word takes a word, or a string.
func (p *parser) word(what string) token {
	t := p.peek()
	if t.kind != tokWord && t.kind != tokString {
		p.expected(t, what)
	}
	return p.next()
}

func (p *parser) newlines() {
	for p.peek().kind == tokNewline {
		p.i++
	}
}

// blank skips line ends and semicolons.
func (p *parser) blank() {
	for p.peek().kind == tokNewline || p.is(";") {
		p.i++
	}
}

// ended tells whether a statement has come to its end.
func (p *parser) ended() bool {
	t := p.peek()
	return t.kind == tokEnd || t.kind == tokNewline || p.is(";") || p.is("}")
}

// end needs a statement's end.
func (p *parser) end(after string) {
	if !p.ended() {
		p.expected(p.peek(), "the end of "+after)
	}
}

// try reads one statement; a mistake is noted, and what is left of its line skipped.
func (p *parser) try(read func()) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			p.errs = append(p.errs, e)
			p.skip()
		default:
			panic(e)
		}
	}()
	read()
}

// skip goes to the line's end, out of a set's braces first.
func (p *parser) skip() {
	for depth := p.braces; ; p.i++ {
		t := p.tokens[p.i]
		switch {
		case t.kind == tokEnd:
			p.braces = 0
			return
		case t.kind == tokNewline && depth <= 0:
			p.braces = 0
			return
		case t.kind == tokSign && t.text == "{":
			depth++
		case t.kind == tokSign && t.text == "}":
			if depth <= 0 {
				p.braces = 0
				return
			}
			depth--
		}
	}
}

func (p *parser) full() bool { return len(p.errs) >= maxErrors }

// file reads everything.
func (p *parser) file() {
	for !p.full() {
		more := true
		p.try(func() {
			p.blank()
			if more = p.peek().kind != tokEnd; more {
				p.command()
			}
		})
		if !more {
			return
		}
		if p.tokens[p.i].kind == tokSign && p.tokens[p.i].text == "}" {
			if len(p.errs) == 0 {
				p.try(func() { p.fail(p.peek(), "there is no open brace that this one closes") })
			}
			p.i++
		}
	}
}

// command reads one command of the top level.
func (p *parser) command() {
	t := p.word("a command: table, define, include, add or flush")
	switch t.text {
	case "define":
		p.define()
	case "include":
		p.include()
	case "flush":
		p.need("ruleset")
	case "table":
		p.tableBlock()
	case "add", "create":
		p.addCommand()
	default:
		p.fail(t, "%s is no command: use table, define, include, add or flush ruleset", t.describe())
	}
	p.end("the command")
}

func (p *parser) define() {
	name := p.word("a variable's name")
	p.need("=")
	var value []token
	for depth := 0; ; {
		t := p.peek()
		if t.kind == tokEnd || t.kind == tokNewline && depth == 0 || t.kind == tokSign && t.text == ";" && depth == 0 {
			break
		}
		p.i++
		switch {
		case t.kind == tokSign && t.text == "{":
			depth++
		case t.kind == tokSign && t.text == "}":
			depth--
		case t.kind == tokNewline:
			continue
		}
		value = append(value, t)
		if depth < 0 {
			p.fail(t, "there is no open brace that this one closes")
		}
	}
	if len(value) == 0 {
		p.expected(p.peek(), "the value of $"+name.text)
	}
	p.vars[name.text] = value
}

func (p *parser) include() {
	t := p.peek()
	if t.kind != tokString {
		p.expected(t, "a file's name in quotes")
	}
	p.i++
	if p.options.ReadFile == nil {
		p.fail(t, "files can't be included here")
	}
	if p.includes++; p.includes > maxInclude {
		p.fail(t, "more than %d files are included: does one include itself?", maxInclude)
	}
	text, err := p.options.ReadFile(t.text)
	if err != nil {
		p.fail(t, "include: %v", err)
	}
	if err := p.add(t.text, text); err != nil {
		p.i = 0
		p.errs = append(p.errs, err)
		panic(p.errs[len(p.errs)-1].(*Error))
	}
}

// family reads an optional family.
func (p *parser) family() Family {
	for f, name := range []string{"inet", "ip", "ip6"} {
		if p.take(name) {
			return Family(f)
		}
	}
	if t := p.peek(); slices.Contains([]string{"arp", "bridge", "netdev"}, t.text) {
		p.fail(t, "tables of family %s are not supported: use inet, ip or ip6", t.text)
	}
	return IP4
}

// tableOf reads a family and a table's name. make says that it may be new.
func (p *parser) tableOf(make bool) *Table {
	family := p.family()
	name := p.word("a table's name")
	for _, t := range p.rules.Tables {
		if t.Family == family && t.Name == name.text {
			return t
		}
	}
	if !make {
		p.fail(name, "there is no table %s %s", family, name.text)
	}
	t := &Table{Family: family, Name: name.text, Sets: map[string]*Set{}, pos: name.pos}
	p.rules.Tables = append(p.rules.Tables, t)
	return t
}

func (p *parser) tableBlock() {
	p.table = p.tableOf(true)
	if p.ended() {
		return
	}
	p.block("table "+p.table.Name, func() {
		t := p.word("chain, set, map, define, include or }")
		switch t.text {
		case "chain":
			p.chainBlock(p.chainOf(true))
		case "set", "map":
			p.setBlock(t.text == "map")
		case "define":
			p.define()
		case "include":
			p.include()
		case "comment":
			p.word("a comment")
		case "flags":
			p.fail(t, "flags of tables are not supported")
		default:
			p.fail(t, "expected chain, set, map, define, include or }, found %s", t.describe())
		}
		p.end("the statement")
	})
}

// block reads statements between braces.
func (p *parser) block(of string, statement func()) {
	open := p.need("{")
	for !p.full() {
		closed := false
		p.try(func() {
			p.blank()
			if p.peek().kind == tokEnd {
				p.fail(open, "this brace of %s is not closed", of)
			}
			if closed = p.take("}"); !closed {
				statement()
			}
		})
		if closed || p.tokens[p.i].kind == tokEnd {
			return
		}
	}
}

// chainOf reads a chain's name.
func (p *parser) chainOf(make bool) *Chain {
	name := p.word("a chain's name")
	if c := p.table.Chain(name.text); c != nil {
		return c
	}
	if !make {
		p.fail(name, "table %s has no chain %s%s", p.table.Name, name.text, suggest(name.text, chainNames(p.table)))
	}
	c := &Chain{Table: p.table, Name: name.text, pos: name.pos}
	p.table.Chains = append(p.table.Chains, c)
	return c
}

func (p *parser) chainBlock(c *Chain) {
	if p.ended() {
		return
	}
	p.block("chain "+c.Name, func() {
		switch {
		case p.is("type"):
			p.base(c)
		case p.is("policy"):
			p.policy(c)
		case p.is("comment"):
			p.i++
			p.word("a comment")
		default:
			c.Rules = append(c.Rules, p.rule(c))
		}
		p.end("the rule")
	})
}

// base reads a base chain's declaration.
func (p *parser) base(c *Chain) {
	at := p.need("type")
	if c.Base {
		p.fail(at, "chain %s has a type already", c.Name)
	}
	t := p.word("filter, nat or route")
	if t.text != "filter" && t.text != "nat" && t.text != "route" {
		p.expected(t, "filter, nat or route")
	}
	p.need("hook")
	h := p.word("a hook")
	hook := slices.Index(hookNames[:], h.text)
	if hook < 0 {
		p.fail(h, "there is no hook %s: use %s", h.text, strings.Join(hookNames[:], ", "))
	}
	if t.text == "nat" && Hook(hook) == Forward {
		p.fail(h, "a nat chain can't be at hook forward: use prerouting or postrouting")
	}
	if t.text == "route" && Hook(hook) != Output {
		p.fail(h, "a route chain can only be at hook output")
	}
	p.need("priority")
	c.Base, c.Type, c.Hook, c.Priority = true, t.text, Hook(hook), p.priority()
	if p.take(";") && p.is("policy") {
		p.policy(c)
	}
}

var priorities = map[string]int{"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}

func (p *parser) priority() int {
	t := p.word("a priority: a number, or raw, mangle, dstnat, filter, security, srcnat")
	base, named := priorities[t.text]
	if !named {
		n, err := parseInt(t.text)
		if err != nil {
			p.fail(t, "%s is no priority: use a number, or raw, mangle, dstnat, filter, security, srcnat", t.describe())
		}
		return n
	}
	sign := 1
	if p.is("-") {
		sign = -1
	} else if !p.is("+") {
		if n := p.peek(); n.kind == tokWord && strings.HasPrefix(n.text, "-") {
			p.i++
			return base + p.integer(n, n.text)
		}
		return base
	}
	p.i++
	n := p.word("a number")
	return base + sign*p.integer(n, n.text)
}

func (p *parser) policy(c *Chain) {
	at := p.need("policy")
	if !c.Base {
		p.fail(at, "only a chain with a hook has a policy")
	}
	t := p.word("accept or drop")
	switch t.text {
	case "accept":
		c.Policy = Accept
	case "drop":
		c.Policy = Drop
	default:
		p.expected(t, "accept or drop")
	}
	if c.Type == "nat" && c.Policy == Drop {
		p.fail(t, "a nat chain can't drop")
	}
}

// addCommand reads what nft takes one command at a time.
func (p *parser) addCommand() {
	t := p.word("table, chain, rule, set, map or element")
	switch t.text {
	case "table":
		p.tableBlock()
		return
	case "chain":
		p.table = p.tableOf(false)
		p.chainBlock(p.chainOf(true))
	case "rule":
		p.table = p.tableOf(false)
		c := p.chainOf(false)
		c.Rules = append(c.Rules, p.rule(c))
	case "set", "map":
		p.table = p.tableOf(false)
		p.setBlock(t.text == "map")
	case "element":
		p.table = p.tableOf(false)
		name := p.word("a set's name")
		s := p.table.Sets[name.text]
		if s == nil {
			p.fail(name, "table %s has no set %s%s", p.table.Name, name.text, suggest(name.text, keys(p.table.Sets)))
		}
		p.elements(s)
	default:
		p.fail(t, "expected table, chain, rule, set, map or element, found %s", t.describe())
	}
}

func keys[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func chainNames(t *Table) []string {
	var list []string
	for _, c := range t.Chains {
		list = append(list, c.Name)
	}
	return list
}

// suggest names the only candidate that is like a word.
func suggest(word string, candidates []string) string {
	for _, c := range candidates {
		if strings.EqualFold(c, word) || len(word) > 2 && (strings.HasPrefix(c, word) || strings.HasPrefix(word, c) && len(c) > 2) || distance(word, c) <= 2 && len(word) > 3 {
			return fmt.Sprintf(" (did you mean %s?)", c)
		}
	}
	return ""
}

// distance is how many letters have to be changed, at most 3.
func distance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
