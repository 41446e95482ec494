package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

type addDomain struct {
	domainName
	DryRun bool `help:"Say what would be added, and add nothing."`
}

func (addDomain) Help() string { return examples("posthorn domain add example.com") }

// Validate wants a name that can be made.
func (cmd *addDomain) Validate() error {
	if cmd.Name == managedName || strings.HasPrefix(string(cmd.Name), "/") {
		return errors.New("domain add needs a name such as example.com")
	}
	return nil
}

func (cmd *addDomain) Run(ctx context.Context, c *console, cl cloud) error {
	d, err := cmd.read(ctx, cl)
	missing := azure.IsKind(err, azure.NotFound)
	if err != nil && !missing {
		return err
	}
	if cmd.DryRun {
		if missing {
			c.tell("Would add the domain %s in the Email Service %s.", cmd.Name, cl.at.EmailService.Name())
			return nil
		}
		c.tell("%s exists already.", cmd.Name)
		return nil
	}
	if missing {
		c.tell("Adding the domain %s. Azure may take some minutes.", cmd.Name)
	}
	if missing || d.Properties.State == "Failed" || d.Properties.State == "Canceled" {
		if d, err = cl.CreateDomain(ctx, cl.at.EmailService, string(cmd.Name)); err != nil {
			return err
		}
	}
	if d, err = c.awaitDomain(ctx, cl, d); err != nil {
		return err
	}
	if missing {
		c.tell("Added the domain %s.", cmd.Name)
	} else {
		c.tell("%s exists already. Nothing was changed.", cmd.Name)
	}
	linked, err := cl.linked(ctx, d.ID)
	if err != nil {
		return err
	}
	c.tell("%s", nextStep(d, cmd.Name, linked))
	return nil
}

// How long Azure may take for the records of a new domain.
const (
	awaitEvery = 5 * time.Second
	awaitTries = 60
)

// awaitDomain waits until Azure has made a domain. Somebody may have stopped before.
func (c *console) awaitDomain(ctx context.Context, cl cloud, d azure.Domain) (azure.Domain, error) {
	for range awaitTries {
		switch p := d.Properties; {
		case p.State == "Failed" || p.State == "Canceled":
			return d, fmt.Errorf("Azure could not add the domain %s (%s). Run the command again", d.ID.Name(), p.State)
		case (p.State == "Succeeded" || p.State == "") && len(p.Records) > 0:
			return d, nil
		}
		err := c.sleep(ctx, awaitEvery)
		if err == nil {
			d, err = cl.Domain(ctx, d.ID)
		}
		if err != nil {
			return d, err
		}
	}
	return d, fmt.Errorf("Azure has not created the records of %s yet (%s). Run the command again", d.ID.Name(), d.Properties.State)
}

// linked tells whether the deployment may send from a domain.
func (cl cloud) linked(ctx context.Context, id azure.ID) (bool, error) {
	if cl.at.Service == "" {
		return false, errNoService
	}
	service, err := cl.Service(ctx, cl.at.Service)
	return isLinked(service.Properties.LinkedDomains, id), err
}
