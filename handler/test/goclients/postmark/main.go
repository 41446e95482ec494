package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/mrz1836/postmark"
)

func main() {
	client := postmark.NewClient(os.Getenv("POSTHORN_KEY"), "")
	client.BaseURL = os.Getenv("POSTHORN_URL")
	sent, err := client.SendEmail(context.Background(), postmark.Email{
		From:     "donotreply@example.com",
		To:       "ann@example.com",
		Subject:  "Your order",
		TextBody: "Thank you.",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.MessageID)
}
