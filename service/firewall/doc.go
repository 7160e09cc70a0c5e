// Package firewall explains what a rule file does to a packet.
//
// It relies on package nft. It must not forward anything: package router does.
package firewall
