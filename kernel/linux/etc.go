package linux

// Files of /etc that libraries read, as short as they are of use.

const osRelease = `ID=pith
NAME="Pith"
PRETTY_NAME="Pith unikernel"
`

// services is the well-known ports that programs ask for by name (RFC 6335's
// registry).
const services = `ftp		21/tcp
ssh		22/tcp
telnet		23/tcp
smtp		25/tcp
domain		53/tcp
domain		53/udp
tftp		69/udp
http		80/tcp
kerberos	88/tcp
kerberos	88/udp
pop3		110/tcp
ntp		123/udp
imap2		143/tcp
snmp		161/udp
ldap		389/tcp
https		443/tcp
https		443/udp
submissions	465/tcp
syslog		514/udp
submission	587/tcp
ldaps		636/tcp
domain-s	853/tcp
domain-s	853/udp
imaps		993/tcp
pop3s		995/tcp
socks		1080/tcp
mqtt		1883/tcp
nfs		2049/tcp
mysql		3306/tcp
postgresql	5432/tcp
amqp		5672/tcp
redis		6379/tcp
`

const protocols = `ip	0	IP
icmp	1	ICMP
igmp	2	IGMP
tcp	6	TCP
udp	17	UDP
ipv6	41	IPv6
ipv6-icmp	58	IPv6-ICMP
sctp	132	SCTP
`

// mimeTypes is what package mime doesn't know itself.
const mimeTypes = `text/html	html htm
text/plain	txt log
text/csv	csv
text/markdown	md markdown
text/calendar	ics
application/gzip	gz
application/zip	zip
application/x-tar	tar
application/zstd	zst
application/rtf	rtf
application/yaml	yaml yml
application/toml	toml
application/vnd.oasis.opendocument.text	odt
application/vnd.openxmlformats-officedocument.wordprocessingml.document	docx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet	xlsx
application/vnd.openxmlformats-officedocument.presentationml.presentation	pptx
application/epub+zip	epub
audio/mpeg	mp3
audio/ogg	ogg oga opus
audio/wav	wav
audio/flac	flac
font/ttf	ttf
font/otf	otf
font/woff	woff
font/woff2	woff2
image/bmp	bmp
image/tiff	tif tiff
image/x-icon	ico
video/mp4	mp4 m4v
video/webm	webm
video/quicktime	mov
`
