/* SPDX-License-Identifier: MIT */
/*
 * The control socket: what xaringctl(1) and others say to the broker, and its limits. What answers mean is
 * in xaringctl(1), JSON.
 *
 * A socket of SOCK_SEQPACKET. A request is one packet, a line of words separated by blanks:
 *
 *   list                            an object for each VM
 *   status VM                       the same for one
 *   mic VM allow|deny [SPAN]        SPAN: always (default), once, until-shutdown, for SECONDS
 *   mic VM ask                      forgets what was decided
 *   disconnect VM, connect VM
 *   monitor                         events from then on, without end
 *
 * An answer is packets of one JSON object each: none or more that tell something, and one with "ok": true,
 * or false with "error" and "text". After the one for monitor come events, until one side hangs up. Requests
 * are answered one after the other. Who may not speak to the broker is told so, and hung up on.
 */
#ifndef XARING_CONTROL_H
#define XARING_CONTROL_H

#define CONTROL_SOCKET "control" /* in the runtime folder */
#define CONTROL_GROUP  "xaring"  /* whose members may */

#define CONTROL_REQUEST_BYTES 1024u   /* at most, of a request */
#define CONTROL_ANSWER_BYTES  131072u /* at most, of one packet of an answer */
#define CONTROL_CONNECTIONS   32u
#define CONTROL_OTHERS        24u    /* of these, for others than root and the broker's own user */
#define CONTROL_IDLE_MS       10000u /* who says nothing for so long is hung up on, but for monitors */
#define CONTROL_SECONDS_MAX   (366u * 24 * 3600) /* of mic, for */
#define CONTROL_WAITING_BYTES 262144u /* of events that a monitor has not read: more end it */

#endif
