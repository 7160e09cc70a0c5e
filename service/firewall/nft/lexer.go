package nft

import (
	"fmt"
	"strings"
)

// kind of a token.
type kind uint8

const (
	tokEnd kind = iota
	tokNewline
	tokWord   // a name, number, address, range
	tokString // in quotes
	tokVar    // $name
	tokSign   // punctuation
)

// token is one word of a rule file.
type token struct {
	kind kind
	text string
	pos  Pos
	end  int // offset behind it
	at   int // offset of its first byte
}

// describe names a token in an error.
func (t token) describe() string {
	switch t.kind {
	case tokEnd:
		return "the end of the file"
	case tokNewline:
		return "the end of the line"
	case tokString:
		return fmt.Sprintf("%q", t.text)
	case tokVar:
		return "$" + t.text
	}
	return fmt.Sprintf("%q", t.text)
}

// lexer cuts a file into tokens.
type lexer struct {
	file      string
	text      string
	at        int
	line      int
	lineStart int
}

func lex(file, text string) ([]token, error) {
	l := &lexer{file: file, text: text, line: 1}
	var tokens []token
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		if t.kind == tokEnd {
			return tokens, nil
		}
	}
}

func (l *lexer) pos() Pos { return Pos{l.file, l.line, l.at - l.lineStart + 1} }

func (l *lexer) next() (token, error) {
	l.space()
	t := token{pos: l.pos(), at: l.at}
	if l.at >= len(l.text) {
		t.end = l.at
		return t, nil
	}
	c := l.text[l.at]
	switch {
	case c == '\n':
		t.kind, t.text = tokNewline, "\n"
		l.at++
		l.line++
		l.lineStart = l.at
	case c == '"':
		end := strings.IndexAny(l.text[l.at+1:], "\"\n")
		if end < 0 || l.text[l.at+1+end] != '"' {
			return t, l.fail(t.pos, "this string has no closing quote on its line")
		}
		t.kind, t.text = tokString, l.text[l.at+1:l.at+1+end]
		l.at += end + 2
	case c == '$':
		l.at++
		t.kind, t.text = tokVar, l.word()
		if t.text == "" {
			return t, l.fail(t.pos, "$ is not followed by a variable's name")
		}
	case isWord(c) || c == ':' && strings.HasPrefix(l.text[l.at:], "::"):
		t.kind, t.text = tokWord, l.word()
	default:
		t.kind, t.text = tokSign, l.sign()
		if t.text == "" {
			return t, l.fail(t.pos, fmt.Sprintf("%q has no meaning here", string([]rune(l.text[l.at:])[:1])))
		}
		l.at += len(t.text)
	}
	t.end = l.at
	return t, nil
}

// space skips blanks, comments, and line ends that a backslash joins.
func (l *lexer) space() {
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == ' ' || c == '\t' || c == '\r':
			l.at++
		case c == '#':
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.at++
			}
		case strings.HasPrefix(l.text[l.at:], "\\\n"):
			l.at += 2
			l.line++
			l.lineStart = l.at
		default:
			return
		}
	}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' || c == '*' || c == '['
}

// word reads a word. A colon belongs to it within an address, or in front of a
// port; not at its end.
func (l *lexer) word() string {
	start := l.at
	for l.at < len(l.text) {
		c := l.text[l.at]
		if c == ':' && l.colon(start) || c == ']' || isWord(c) {
			l.at++
			continue
		}
		break
	}
	return l.text[start:l.at]
}

func (l *lexer) colon(start int) bool {
	if l.at > start && l.text[l.at-1] == ':' && l.at-1 >= start {
		return true
	}
	return l.at+1 < len(l.text) && (l.text[l.at+1] == ':' || isWord(l.text[l.at+1]))
}

// signs, longer ones first.
var signs = []string{"==", "!=", "<=", ">=", "<<", ">>", "{", "}", "(", ")", ",", ";", "=", "<", ">", "&", "|", "^", "/", ":", "@", "!", "+"}

func (l *lexer) sign() string {
	for _, s := range signs {
		if strings.HasPrefix(l.text[l.at:], s) {
			return s
		}
	}
	return ""
}

func (l *lexer) fail(pos Pos, msg string) *Error { return newError(l.text, pos, msg) }

func newError(text string, pos Pos, msg string) *Error {
	source := ""
	if lines := strings.Split(text, "\n"); pos.Line >= 1 && pos.Line <= len(lines) {
		source = strings.TrimRight(lines[pos.Line-1], "\r")
	}
	return &Error{Pos: pos, File: pos.File, Line: pos.Line, Column: pos.Col, Msg: msg, Source: source}
}
