package mail

import (
	"errors"
	"strings"
)

// What Named and NamedList refuse. Each text is a clause for the caller.
var (
	errNamedForm  = errors.New("an address with a name is written Name <ann@example.com>")
	errNamedQuote = errors.New(`the quotes around the name must be closed, and end before the address`)
	errNamedMany  = errors.New("there is a comma outside quotes: give one address, and put a name with a comma into quotes")
)

// Named reads one address, alone or with a name before it: ann@example.com,
// Ann Doe <ann@example.com>, "Doe, Ann" <ann@example.com>. It is the form that
// APIs of mail have in common: name-addr of RFC 5322 section 3.4, without comments
// and encoded words, and with any character in a name but those that would end
// it. A comma is one, too, where the name has no @: Symfony's client for Resend puts
// no name into quotes. Whether the address is one is for Mailbox to say.
func Named(text string) (Address, error) {
	text = strings.Trim(text, " \t")
	name, rest, err := leadingName(text)
	switch {
	case err != nil:
		return Address{}, err
	case rest == "" && strings.ContainsRune(name, ','):
		return Address{}, errNamedMany
	case rest == "":
		return Address{Address: name}, nil
	case strings.ContainsAny(rest[1:len(rest)-1], "<>"):
		return Address{}, errNamedForm
	}
	return Address{Address: rest[1 : len(rest)-1], DisplayName: name}, nil
}

// leadingName splits text into a name without its quotes and <address>. Without
// brackets there is no name, and all is the address.
func leadingName(text string) (name, rest string, err error) {
	if !strings.HasSuffix(text, ">") {
		if strings.ContainsAny(text, `<>"`) {
			return "", "", errNamedForm
		}
		return text, "", nil
	}
	if strings.HasPrefix(text, `"`) {
		name, rest, ok := unquoted(text)
		if rest = strings.TrimLeft(rest, " \t"); !ok || !strings.HasPrefix(rest, "<") {
			return "", "", errNamedQuote
		}
		return name, rest, nil
	}
	at := strings.IndexByte(text, '<')
	if at < 0 {
		return "", "", errNamedForm
	}
	name = strings.TrimRight(text[:at], " \t")
	switch {
	case strings.ContainsRune(name, '>'):
		return "", "", errNamedForm
	case strings.ContainsRune(name, ',') && strings.ContainsRune(name, '@'):
		return "", "", errNamedMany
	}
	return name, text[at:], nil
}

// PlainName is a name as a person reads it: without the quotes around all of it and
// without encoded words, which clients write that make headers of their own.
func PlainName(text string) string {
	if strings.HasPrefix(text, `"`) {
		if name, rest, ok := unquoted(text); ok && rest == "" {
			text = name
		}
	}
	return Decoded(text)
}

// unquoted reads the quoted string that text begins with: RFC 5322 section 3.2.4.
func unquoted(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}

// NamedList reads addresses as Named does, with commas between them; where nothing
// stands beside a comma, nothing is meant. The error is about the first that is
// wrong.
func NamedList(text string) ([]Address, error) {
	var all []Address
	for {
		end := listEnd(text)
		if one := text[:end]; strings.Trim(one, " \t") != "" {
			a, err := Named(one)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
		if end == len(text) {
			return all, nil
		}
		text = text[end+1:]
	}
}

// listEnd is where the first address of a list ends: at a comma that stands in
// neither quotes nor angle brackets, or at the end.
func listEnd(text string) int {
	quoted, bracketed := false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !bracketed:
			quoted = !quoted
		case quoted:
		case c == '<':
			bracketed = true
		case c == '>':
			bracketed = false
		case c == ',' && !bracketed:
			return i
		}
	}
	return len(text)
}
