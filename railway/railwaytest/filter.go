package railwaytest

import (
	"fmt"
	"strconv"
	"strings"
)

// A filter says which lines of a log are taken.
type filter func(l *line) bool

// parseFilter reads a filter, https://docs.railway.com/observability/logs: words and
// "phrases", which are looked for in the message, @attribute:value, replica:id, and
// with them AND, OR, - and parentheses. Words side by side must all be there.
func parseFilter(text string) (filter, error) {
	if len(text) > 4096 {
		return nil, badInput("Invalid filter")
	}
	p := &filterParser{tokens: filterTokens(text)}
	if len(p.tokens) == 0 {
		return func(*line) bool { return true }, nil
	}
	f := p.either()
	if p.failed || len(p.tokens) > 0 {
		return nil, badInput("Invalid filter")
	}
	return f, nil
}

// filterTokens cuts a filter into words, phrases with their quotes, and signs.
func filterTokens(text string) (tokens []string) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := 1
		if !strings.ContainsRune("()-", rune(text[0])) {
			quoted := false
			for end = 0; end < len(text); end++ {
				if text[end] == '"' {
					quoted = !quoted
				} else if !quoted && strings.ContainsRune(" ()", rune(text[end])) {
					break
				}
			}
		}
		tokens, text = append(tokens, text[:end]), text[end:]
	}
	return tokens
}

type filterParser struct {
	tokens []string
	failed bool
}

func (p *filterParser) next() string {
	if len(p.tokens) == 0 {
		p.failed = true
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *filterParser) at(token string) bool { return len(p.tokens) > 0 && p.tokens[0] == token }

func (p *filterParser) either() filter {
	f := p.all()
	for p.at("OR") {
		p.next()
		a, b := f, p.all()
		f = func(l *line) bool { return a(l) || b(l) }
	}
	return f
}

func (p *filterParser) all() filter {
	f := p.not()
	for len(p.tokens) > 0 && !p.at("OR") && !p.at(")") {
		if p.at("AND") {
			p.next()
		}
		a, b := f, p.not()
		f = func(l *line) bool { return a(l) && b(l) }
	}
	return f
}

func (p *filterParser) not() filter {
	if p.at("-") {
		p.next()
		f := p.not()
		return func(l *line) bool { return !f(l) }
	}
	if p.at("(") {
		p.next()
		f := p.either()
		p.failed = p.failed || p.next() != ")"
		return f
	}
	return p.term(p.next())
}

func (p *filterParser) term(token string) filter {
	if name, value, ok := strings.Cut(token, ":"); ok && strings.HasPrefix(name, "@") && value != "" {
		return attributeFilter(strings.TrimPrefix(name, "@"), unquoted(value))
	}
	if id, ok := strings.CutPrefix(token, "replica:"); ok {
		return func(l *line) bool { return l.instance == id }
	}
	p.failed = p.failed || token == "AND" || token == "OR" || token == ")"
	word := strings.ToLower(unquoted(token))
	return func(l *line) bool { return strings.Contains(strings.ToLower(l.message), word) }
}

func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// attributeFilter compares an attribute, or one of an array as "list[0]".
func attributeFilter(name, want string) filter {
	index := -1
	if base, rest, ok := strings.Cut(name, "["); ok {
		if n, err := strconv.Atoi(strings.TrimSuffix(rest, "]")); err == nil {
			name, index = base, n
		}
	}
	return func(l *line) bool {
		switch name {
		case "service":
			return l.deployment.of.service.id == want
		case "deployment":
			return l.deployment.id == want
		}
		value, ok := l.fields[name]
		if list, isList := value.([]any); isList && index >= 0 {
			if index >= len(list) {
				return false
			}
			value = list[index]
		}
		return ok && matches(value, want)
	}
}

// matches compares a value with >, >=, <, <=, a range a..b, or as text.
func matches(value any, want string) bool {
	number := func(s string) (float64, bool) {
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	}
	got, isNumber := value.(float64)
	for _, sign := range []string{">=", "<=", ">", "<"} {
		limit, ok := strings.CutPrefix(want, sign)
		if !ok {
			continue
		}
		n, ok := number(limit)
		return ok && isNumber && (sign == ">=" && got >= n || sign == "<=" && got <= n || sign == ">" && got > n || sign == "<" && got < n)
	}
	if low, high, ok := strings.Cut(want, ".."); ok && isNumber {
		a, okA := number(low)
		b, okB := number(high)
		return okA && okB && a <= got && got <= b
	}
	return strings.EqualFold(fmt.Sprint(value), want)
}
