/* SPDX-License-Identifier: MIT */
/* Tracepoints that nobody looks at. */
#ifndef KSHIM_TRACEPOINT_H
#define KSHIM_TRACEPOINT_H

#define TP_PROTO(...)	__VA_ARGS__
#define TP_ARGS(...)
#define TRACE_EVENT(name, proto, ...)					\
	static inline void trace_##name(proto) { }
#define DECLARE_EVENT_CLASS(...)
#define DEFINE_EVENT(class, name, proto, ...)				\
	static inline void trace_##name(proto) { }

#endif /* KSHIM_TRACEPOINT_H */
