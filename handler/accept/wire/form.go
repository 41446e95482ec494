package wire

import "fmt"

// What other APIs have beside the forms of ACS's.

// Many is a member that may be one text or a list of them.
type Many struct {
	Texts []string
	// Alone says that it was one text and no list.
	Alone bool
}

// TextOrList is a member that is a string or an array of strings, at most count.
func TextOrList[T any](name string, count, limit int, at func(*T) *Many) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		m := at(to)
		c, err := r.token()
		if err != nil {
			return err
		}
		switch typeOf(c) {
		case isString:
			s, err := r.hold(limit)
			*m = Many{[]string{s}, true}
			return err
		case isArray:
			return r.texts(count, limit, &m.Texts)
		}
		return r.refuse(fmt.Sprintf("It must be a string or an array of strings, not %s.", typeOf(c)))
	}}
}

// Texts is a member that is an array of strings, at most count.
func Texts[T any](name string, count, limit int, at func(*T) *[]string) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		if ok, err := r.starts(isArray); !ok {
			return err
		}
		return r.texts(count, limit, at(to))
	}}
}

func (r *reader) texts(count, limit int, to *[]string) error {
	return r.items(func(i int) error {
		if i >= count {
			return r.overflow(count)
		}
		s, err := r.hold(limit)
		*to = append(*to, s)
		return err
	})
}

// Whole is a member that is a whole number from 0.
func Whole[T any](name string, at func(*T) *int64) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		if ok, err := r.starts(isNumber); !ok {
			return err
		}
		n, err := r.whole()
		*at(to) = n
		return err
	}}
}

// whole reads a number that must be whole, from 0.
func (r *reader) whole() (int64, error) {
	if c := r.buf[r.pos]; c != '-' && !isDigit(c) {
		return 0, r.skip() // which says what is wrong with it
	}
	n, whole, err := r.number()
	if err == nil && (!whole || n < 0) {
		return 0, r.note("It must be a whole number, not negative and not too large.")
	}
	return n, err
}

// Refused is a member that the other API has and that cannot be honoured: why is
// a sentence for the caller. Where nothing stands in it, nothing is meant: an empty
// text, array or object, false and 0, as clients write that leave nothing out.
func Refused[T any](name, why string) Member[T] {
	return Member[T]{name: name, refusal: why, read: func(r *reader, _ *T) error {
		empty, err := r.nothing()
		if err != nil || empty {
			return err
		}
		return r.note(why)
	}}
}

// nothing skips a value and says whether anything was in it.
func (r *reader) nothing() (empty bool, err error) {
	c, err := r.token()
	if err != nil {
		return false, err
	}
	size := 0
	item := func(int) error { size++; return r.skip() }
	switch typeOf(c) {
	case isString:
		_, size, err = r.text(nil, 0)
	case isArray:
		err = r.items(item)
	case isObject:
		err = r.members(func([]byte) error { return item(size) })
	case isNumber:
		var text string
		if text, err = r.numeral(); text != "0" {
			size = 1
		}
	case isBoolean, isNull:
		err = r.skip()
		if c == 't' {
			size = 1
		}
	}
	return size == 0, err
}

// Passed is a member that changes nothing here, whatever it is.
func Passed[T any](name string) Member[T] {
	return Member[T]{name: name, read: func(r *reader, _ *T) error { return r.skip() }}
}

// Row is a member of a dialect, for its page in docs.
type Row struct {
	Name    string // from the whole body: personalizations[].to[].email
	Refusal string // empty if the member is taken
	ours    []string
}

// Rows lists all members of o, those of objects within it too.
func (o Object[T]) Rows() []Row { return o.rows("") }

func (o Object[T]) rows(prefix string) []Row {
	var all []Row
	for _, m := range o {
		all = append(all, Row{prefix + m.name, m.refusal, m.ours})
		for _, in := range m.inner {
			all = append(all, Row{prefix + m.name + in.Name, in.Refusal, in.ours})
		}
	}
	return all
}
