package sendgrid

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/wire"
)

// pointer is wire.Parsed's Pointer for the message of the k-th personalization.
func (b *body) pointer(k int, ours string) string {
	p := b.personalizations[k]
	own := fmt.Sprintf("/personalizations/%d", k)
	either := func(special bool, member string) string {
		if special {
			return own + member
		}
		return member
	}
	switch first, rest, _ := strings.Cut(strings.TrimPrefix(ours, "/"), "/"); first {
	case "senderAddress":
		return either(p.from != nil, "/from/email")
	case "senderDisplayName":
		return either(p.from != nil, "/from/name")
	case "recipients":
		return own + recipients.Of(ours)
	case "replyTo":
		return b.pointerOfReply(rest)
	case "headers":
		_, special := p.headers[strings.NewReplacer("~1", "/", "~0", "~").Replace(rest)]
		return either(special, strings.TrimSuffix("/headers/"+rest, "/"))
	case "content":
		return b.pointerOfContent(rest, either(p.subject != "", "/subject"))
	case "delivery":
		if rest == "sendAt" {
			return either(p.sendAt != 0, "/send_at")
		}
		if tag, ok := strings.CutPrefix(rest, "tags/"); ok {
			return b.pointerOfTag(p, tag, either)
		}
	}
	return pointers.Of(ours)
}

var recipients = wire.Pointers{
	{Ours: "/recipients/*/*/address", Theirs: "/*/*/email"},
	{Ours: "/recipients/*/*/displayName", Theirs: "/*/*/name"},
	{Ours: "/recipients/*", Theirs: "/*"},
	{Ours: "/recipients", Theirs: ""},
}

var pointers = members.Pointers()

// pointerOfReply is the pointer of an address in replyTo. The first is the caller's reply_to.
func (b *body) pointerOfReply(rest string) string {
	index, member, _ := strings.Cut(rest, "/")
	i, err := strconv.Atoi(index)
	if err != nil {
		return "/reply_to_list"
	}
	theirs := map[string]string{"address": "/email", "displayName": "/name"}[member]
	if b.replyTo == nil {
		return fmt.Sprintf("/reply_to_list/%d%s", i, theirs)
	}
	if i == 0 {
		return "/reply_to" + theirs
	}
	return fmt.Sprintf("/reply_to_list/%d%s", i-1, theirs)
}

func (b *body) pointerOfContent(member, subject string) string {
	mediaType := map[string]string{"plainText": plainType, "html": htmlType}[member]
	if member == "subject" {
		return subject
	}
	if i := slices.IndexFunc(b.content, func(c content) bool { return c.mediaType == mediaType }); i >= 0 {
		return fmt.Sprintf("/content/%d/value", i)
	}
	return "/content"
}

func (b *body) pointerOfTag(p personalization, tag string, either func(special bool, member string) string) string {
	index, _, _ := strings.Cut(tag, "/")
	tags := b.tags(p)
	i, err := strconv.Atoi(index)
	switch {
	case err != nil || i >= len(tags):
		return "/custom_args"
	case i == 0 && len(b.categories) > 0:
		return "/categories"
	}
	name := tags[i].Name
	_, special := p.customArgs[name]
	return either(special, "/custom_args/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
}
