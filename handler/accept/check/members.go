package check

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// rules are validator's tags for the members of one type of mail, by Go name.
type rules struct {
	of   any
	tags map[string]string
}

// The rules stand in two tables because validator leaves a member at the first
// tag that it breaks: so a subject that is too long and has a line break in it
// is told both.
var (
	forms = append([]rules{
		{mail.Message{}, map[string]string{"SenderAddress": "required,mailbox", "SenderDisplayName": "line", "Attachments": "dive", "ReplyTo": "dive"}},
		{mail.Content{}, map[string]string{"Subject": "required,seen,line", "PlainText": "utf8", "HTML": "utf8"}},
		{mail.Address{}, map[string]string{"Address": "required,mailbox", "DisplayName": "line"}},
		{mail.Attachment{}, map[string]string{
			"ContentType": "required,mediatype",
			"Placement":   "omitempty,oneof=auto inline link",
		}},
		{mail.Tag{}, map[string]string{"Name": "required,line", "Value": "line"}},
	}, lists...)

	sizes = append([]rules{
		{mail.Message{}, map[string]string{"SenderDisplayName": atMost(mail.MaxDisplayNameBytes), "Attachments": "dive", "ReplyTo": "dive"}},
		{mail.Content{}, map[string]string{
			"Subject":   atMost(mail.MaxSubjectBytes),
			"PlainText": atMost(mail.MaxBodyBytes),
			"HTML":      atMost(mail.MaxBodyBytes),
		}},
		{mail.Address{}, map[string]string{"DisplayName": atMost(mail.MaxDisplayNameBytes)}},
		{mail.Attachment{}, map[string]string{
			"Name":        atMost(mail.MaxAttachmentNameBytes),
			"ContentType": atMost(mail.MaxContentTypeBytes),
			"ContentID":   atMost(mail.MaxContentIDBytes),
		}},
		{mail.Tag{}, map[string]string{"Name": atMost(mail.MaxTagBytes), "Value": atMost(mail.MaxTagBytes)}},
	}, lists...)

	lists = []rules{
		{mail.Recipients{}, map[string]string{"To": "dive", "CC": "dive", "BCC": "dive"}},
		{mail.Delivery{}, map[string]string{"Tags": "dive"}},
	}
)

// grammars are our own tags. Each error is a clause for the caller.
var grammars = map[string]func(string) error{
	"mailbox":   func(s string) error { _, err := mail.Mailbox(s); return err },
	"line":      mail.Line,
	"seen":      mail.Seen,
	"utf8":      validUTF8,
	"mediatype": mediaType,
}

// atMost is the tag for a size; validator's own max counts characters.
func atMost(bytes int) string { return "bytes=" + strconv.Itoa(bytes) }

func compile(table []rules) *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(field reflect.StructField) string {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		return name
	})
	register := func(tag string, holds validator.Func) {
		if err := v.RegisterValidation(tag, holds); err != nil {
			panic("check: " + err.Error()) // the tag is ours, so only a programmer sees this
		}
	}
	register("bytes", func(field validator.FieldLevel) bool {
		limit, err := strconv.Atoi(field.Param())
		return err == nil && len(field.Field().String()) <= limit
	})
	for tag, grammar := range grammars {
		register(tag, func(field validator.FieldLevel) bool {
			return grammar(field.Field().String()) == nil
		})
	}
	for _, r := range table {
		v.RegisterStructValidationMapRules(r.tags, r.of)
	}
	return v
}

// members holds v's rules against m.
func members(f *violations, v *validator.Validate, m *mail.Message) {
	broken, _ := errors.AsType[validator.ValidationErrors](v.Struct(m))
	for _, e := range broken {
		f.add(pointerOf(e.Namespace()), "%s", sentence(e))
	}
}

// pointerOf turns validator's Message.recipients.to[0].address into the RFC 6901
// form. The JSON names of mail have nothing to escape.
func pointerOf(namespace string) string {
	_, path, _ := strings.Cut(namespace, ".")
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(path)
}

func sentence(e validator.FieldError) string {
	switch e.Tag() {
	case "required":
		return "This is required and may not be empty."
	case "oneof":
		return fmt.Sprintf("This must be one of: %s.", strings.ReplaceAll(e.Param(), " ", ", "))
	case "bytes":
		return fmt.Sprintf("This is longer than %s bytes.", e.Param())
	}
	value, _ := e.Value().(string)
	return problem.AsSentence(grammars[e.Tag()](value))
}
