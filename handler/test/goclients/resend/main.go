package main

import (
	"fmt"
	"log"
	"net/url"
	"os"

	"github.com/resend/resend-go/v3"
)

func main() {
	client := resend.NewClient(os.Getenv("POSTHORN_KEY"))
	var err error
	if client.BaseURL, err = url.Parse(os.Getenv("POSTHORN_URL") + "/"); err != nil {
		log.Fatal(err)
	}
	sent, err := client.Emails.Send(&resend.SendEmailRequest{
		From:    "Shop <donotreply@example.com>",
		To:      []string{"ann@example.com"},
		Subject: "Your order",
		Text:    "Thank you.",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.Id)
}
