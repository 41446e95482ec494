package wire

import "bytes"

// Spelling says how else than in its table the name of a member may be written.
type Spelling int

const (
	// AnyCase is HtmlBody or htmlbody for HtmlBody.
	AnyCase Spelling = iota
	// SnakeOrCamel is reply_to or replyTo for reply_to.
	SnakeOrCamel
)

func (s Spelling) same(name []byte, row string) bool {
	if s == SnakeOrCamel {
		return string(name) == row || isCamel(name, row)
	}
	return len(name) == len(row) && bytes.EqualFold(name, []byte(row))
}

// isCamel says whether name is snake written in camel case.
func isCamel(name []byte, snake string) bool {
	n := 0
	for i := 0; i < len(snake); i++ {
		c := snake[i]
		if c == '_' && i+1 < len(snake) {
			i++
			c = snake[i] - 'a' + 'A'
		}
		if n == len(name) || name[n] != c {
			return false
		}
		n++
	}
	return n == len(name)
}
