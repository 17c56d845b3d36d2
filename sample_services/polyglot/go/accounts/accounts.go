// Package accounts holds the rules of payments: what is charged, when it is refused, and what is given back.
package accounts

import (
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"strconv"

	"example.com/payments/fence"
)

// Schema makes the ledger where there is none.
//
//go:embed schema.sql
var Schema string

// Step says on whose behalf an entry is made.
type Step struct{ Saga, Name string }

// Charge takes money from an account, or returns a *fence.Rejection.
func Charge(tx *sql.Tx, step Step, account string, cents int64) error {
	var balance int64
	err := tx.QueryRow("SELECT balance FROM account WHERE id = ?", account).Scan(&balance)
	if errors.Is(err, sql.ErrNoRows) {
		return &fence.Rejection{Reason: "UNKNOWN_ACCOUNT", Message: "there is no account " + account}
	}
	if err != nil {
		return err
	}
	if balance < cents {
		return &fence.Rejection{
			Reason:   "INSUFFICIENT_FUNDS",
			Message:  fmt.Sprintf("account %s has %s, the order costs %s", account, euros(balance), euros(cents)),
			Metadata: map[string]string{"missing_cents": strconv.FormatInt(cents-balance, 10)},
		}
	}
	return enter(tx, step, account, -cents)
}

// Refund gives back what was taken.
func Refund(tx *sql.Tx, step Step, account string, cents int64) error {
	return enter(tx, step, account, cents)
}

func enter(tx *sql.Tx, step Step, account string, cents int64) error {
	if _, err := tx.Exec("UPDATE account SET balance = balance + ? WHERE id = ?", cents, account); err != nil {
		return err
	}
	_, err := tx.Exec("INSERT INTO entry (saga, step, account, cents) VALUES (?, ?, ?, ?)",
		step.Saga, step.Name, account, cents)
	return err
}

func euros(cents int64) string { return fmt.Sprintf("%d.%02d EUR", cents/100, cents%100) }
