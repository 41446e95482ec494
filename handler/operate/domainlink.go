package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// linkFlags are those of link and unlink.
type linkFlags struct {
	domainName
	KeepQuota bool `help:"Keep the setting POSTHORN_QUOTA."`
	DryRun    bool `help:"Show the list before and after, and change nothing."`
}

type linkDomain struct{ linkFlags }

func (linkDomain) Help() string {
	return "Name a domain of this Email Service, or give the resource id of another domain.\n\n" +
		examples("posthorn domain link example.com --dry-run", "posthorn domain link example.com")
}

func (cmd *linkDomain) Run(ctx context.Context, c *console, cl cloud) error {
	d, err := cmd.read(ctx, cl)
	switch {
	case err != nil:
		return err
	case !d.Verified():
		return fmt.Errorf("ACS has not verified %s of %s yet. Run \"posthorn domain verify %s\" first", strings.Join(unverified(d), ", "), d.ID.Name(), word(string(cmd.Name)))
	}
	return relinking{c, cl, cmd.linkFlags, d.ID, true}.run(ctx, false)
}

type unlinkDomain struct {
	linkFlags
	Yes bool `help:"Do not ask for confirmation at the last domain."`
}

func (unlinkDomain) Help() string {
	return "ACS then refuses mail from the domain. The domain and its records stay.\n\n" +
		examples("posthorn domain unlink example.com --dry-run", "posthorn domain unlink example.com")
}

func (cmd *unlinkDomain) Run(ctx context.Context, c *console, cl cloud) error {
	switch {
	case cl.at.EmailService == "":
		return errNoEmailService
	case cl.at.Service == "":
		return errNoService
	}
	service, err := cl.Service(ctx, cl.at.Service)
	if err != nil {
		return err
	}
	id, list := cmd.Name.id(cl.at.EmailService), service.Properties.LinkedDomains
	if !isLinked(list, id) {
		for _, l := range list {
			if strings.EqualFold(l.Name(), string(cmd.Name)) {
				return usageError(fmt.Sprintf("%s belongs to another Email Service. Use its id: posthorn domain unlink %s", cmd.Name, word(string(l))))
			}
		}
		if _, err := cmd.read(ctx, cl); err != nil { // a name that nobody knows is told as such
			return err
		}
	}
	return relinking{c, cl, cmd.linkFlags, id, false}.run(ctx, cmd.Yes)
}

// relinking changes the list of linked domains by one. Azure knows the whole list only,
// and a domain that is left out of it is cut off at once.
type relinking struct {
	*console
	cloud
	linkFlags
	id   azure.ID
	link bool
}

const (
	// relinkTries is how often the list is tried again when others change it meanwhile.
	relinkTries = 5
	relinkEvery = 2 * time.Second
)

func (r relinking) run(ctx context.Context, yes bool) error {
	if r.at.Service == "" {
		return errNoService
	}
	list, err := r.change(ctx, yes)
	if err != nil {
		return err
	}
	return r.fitQuota(ctx, list)
}

// change reads the list, changes it, and reads it again until it is as it should be. It
// gives the list as it is then, or with --dry-run as it would be.
func (r relinking) change(ctx context.Context, yes bool) ([]azure.ID, error) {
	var (
		sent     []azure.ID
		conflict error
	)
	for range relinkTries + 1 {
		service, err := r.Service(ctx, r.at.Service)
		if err != nil {
			return nil, err
		}
		list := service.Properties.LinkedDomains
		if isLinked(list, r.id) == r.link {
			return list, r.told(list, sent)
		}
		want := r.edited(list)
		if r.DryRun {
			return want, r.details([2]string{"linked now", r.names(list)}, [2]string{"linked then", r.names(want)})
		}
		if len(want) == 0 && !yes {
			if yes = true; !r.person {
				return nil, usageError(r.short(r.id) + " is the last linked domain. Without it nothing is sent: add --yes")
			}
			if err := r.confirm(false, r.short(r.id)+" is the last linked domain. Without it nothing is sent. Unlink it?"); err != nil {
				return nil, err
			}
		}
		if sent != nil { // Azure may show what was sent a moment later
			if err := r.sleep(ctx, relinkEvery); err != nil {
				return nil, err
			}
		}
		sent = want
		err = r.LinkDomains(ctx, r.at.Service, want, service.ETag)
		if azure.IsKind(err, azure.Conflict) {
			sent, conflict, err = nil, err, r.sleep(ctx, relinkEvery)
		}
		if err != nil {
			return nil, err
		}
	}
	if conflict != nil {
		return nil, conflict
	}
	return nil, fmt.Errorf("Azure accepts the change of the linked domains of %s, but the list stays. Another program may change it too. Check the activity log, and run the command again", r.at.Service.Name())
}

func (r relinking) edited(list []azure.ID) []azure.ID {
	if r.link {
		return append(slices.Clone(list), r.id)
	}
	return slices.DeleteFunc(slices.Clone(list), func(l azure.ID) bool { return azure.SameID(l, r.id) })
}

// told says what became of the list, which was sent as a whole unless it was so already.
func (r relinking) told(list, sent []azure.ID) error {
	said := map[[2]bool]string{
		{true, true}: "Linked %s.", {true, false}: "%s is linked already.",
		{false, true}: "Unlinked %s: ACS refuses mail from it now.", {false, false}: "%s is not linked.",
	}[[2]bool{r.link, sent != nil}]
	r.tell(said+" The linked domains are: %s.", r.short(r.id), r.names(list))
	for _, id := range sent {
		if !isLinked(list, id) {
			return fmt.Errorf("%s was unlinked at the same time. If that was a mistake, link it again: posthorn domain link %s", r.short(id), word(r.short(id)))
		}
	}
	return nil
}

// names are domains as a person names them.
func (r relinking) names(ids []azure.ID) string {
	if len(ids) == 0 {
		return "none"
	}
	var names []string
	for _, id := range ids {
		names = append(names, r.short(id))
	}
	return strings.Join(names, ", ")
}

// short is the name of a domain of the connected Email Service, and the id of others.
func (cl cloud) short(id azure.ID) string {
	if azure.SameID(id.Parent(), cl.at.EmailService) {
		return id.Name()
	}
	return string(id)
}
