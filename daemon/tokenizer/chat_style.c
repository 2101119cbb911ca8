/* SPDX-License-Identifier: MIT */
/*
 * Recognising chat templates by what their programs contain, and what of their many spellings
 * matters: begin tokens, spaces, trimming, default system messages.
 */
#include "tokenizer/chat_style.h"

#include <string.h>

#include "model/gguf.h"
#include "tokenizer/jinja.h"

#define TEMPLATE_MAX	(1U << 20)	/* bytes; real ones have a few thousand */

static bool has(const char *text, const char *part)
{
	return strstr(text, part);
}

/* ---- the families ---- */

#define CHATML(role)	{ .before = "<|im_start|>" role "\n", .after = "<|im_end|>\n" }

static const struct chat_style chatml = {
	.turns = {
		[CHAT_SYSTEM] = CHATML("system"),
		[CHAT_USER] = CHATML("user"),
		[CHAT_ASSISTANT] = CHATML("assistant"),
	},
	.prompt = "<|im_start|>assistant\n",
};

static const struct chat_style llama2 = {
	.turns = {
		[CHAT_SYSTEM] = { .before = "<<SYS>>\n", .after = "\n<</SYS>>\n\n" },
		[CHAT_USER] = { .before = "[INST] ", .after = " [/INST]", .is_trimmed = true },
		[CHAT_ASSISTANT] = { .before = " ", .after = " ", .has_eos = true,
				     .is_trimmed = true },
	},
	.system = CHAT_SYSTEM_FIRST_USER,
	.bos_each_turn = true,
	.alternates = true,
	.trims_joined = true,
};

#define LLAMA3_HEADER(role)	"<|start_header_id|>" role "<|end_header_id|>\n\n"
#define LLAMA3(role)	{ .before = LLAMA3_HEADER(role), .after = "<|eot_id|>", .is_trimmed = true }

static const struct chat_style llama3 = {
	.turns = {
		[CHAT_SYSTEM] = LLAMA3("system"),
		[CHAT_USER] = LLAMA3("user"),
		[CHAT_ASSISTANT] = LLAMA3("assistant"),
	},
	.prompt = LLAMA3_HEADER("assistant"),
	.has_bos = true,
};

/* what Llama 3.1 says of itself where no one gives it a date */
static const char llama3_dates[] = LLAMA3_HEADER("system")
	"Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

static const struct chat_style mistral = {
	.turns = {
		[CHAT_SYSTEM] = { .after = "\n\n" },
		[CHAT_USER] = { .before = "[INST] ", .after = " [/INST]" },
		[CHAT_ASSISTANT] = { .has_eos = true },
	},
	.system = CHAT_SYSTEM_FIRST_USER,
	.has_bos = true,
	.alternates = true,
};

#define GEMMA(role)	{ .before = "<start_of_turn>" role "\n", .after = "<end_of_turn>\n", \
			  .is_trimmed = true }

static const struct chat_style gemma = {
	.turns = {
		[CHAT_SYSTEM] = { .after = "\n\n" },
		[CHAT_USER] = GEMMA("user"),
		[CHAT_ASSISTANT] = GEMMA("model"),
	},
	.prompt = "<start_of_turn>model\n",
	.system = CHAT_SYSTEM_REFUSED,
	.has_bos = true,	/* also where a template forgets it: Gemma babbles without */
	.alternates = true,
};

#define PHI3(role)	{ .before = "<|" role "|>\n", .after = "<|end|>\n" }

static const struct chat_style phi3 = {
	.turns = {
		[CHAT_SYSTEM] = PHI3("system"),
		[CHAT_USER] = PHI3("user"),
		[CHAT_ASSISTANT] = PHI3("assistant"),
	},
	.prompt = "<|assistant|>\n",
};

#define ZEPHYR(role)	{ .before = "<|" role "|>\n", .has_eos = true, .rest = "\n" }

static const struct chat_style zephyr = {
	.turns = {
		[CHAT_SYSTEM] = ZEPHYR("system"),
		[CHAT_USER] = ZEPHYR("user"),
		[CHAT_ASSISTANT] = ZEPHYR("assistant"),
	},
	.prompt = "<|assistant|>\n",
};

/* Phi-4-mini has no lines between role, text and end */
#define PHI4_MINI(role)	{ .before = "<|" role "|>", .after = "<|end|>" }

static const struct chat_style phi4_mini = {
	.tmpl = CHAT_PHI3,
	.turns = {
		[CHAT_SYSTEM] = PHI4_MINI("system"),
		[CHAT_USER] = PHI4_MINI("user"),
		[CHAT_ASSISTANT] = PHI4_MINI("assistant"),
	},
	.prompt = "<|assistant|>",
};

#define PHI4(role)	{ .before = "<|im_start|>" role "<|im_sep|>", .after = "<|im_end|>" }

static const struct chat_style phi4 = {
	.turns = {
		[CHAT_SYSTEM] = PHI4("system"),
		[CHAT_USER] = PHI4("user"),
		[CHAT_ASSISTANT] = PHI4("assistant"),
	},
	.prompt = "<|im_start|>assistant<|im_sep|>",
};

#define BAR			"\xef\xbd\x9c"
#define LOW			"\xe2\x96\x81"
#define DEEPSEEK_USER		"<" BAR "User" BAR ">"
#define DEEPSEEK_ASSISTANT	"<" BAR "Assistant" BAR ">"
#define DEEPSEEK_END		"<" BAR "end" LOW "of" LOW "sentence" BAR ">"

static const struct chat_style deepseek = {
	.turns = {
		[CHAT_USER] = { .before = DEEPSEEK_USER },
		[CHAT_ASSISTANT] = { .before = DEEPSEEK_ASSISTANT, .after = DEEPSEEK_END },
	},
	.prompt = DEEPSEEK_ASSISTANT,
	.system = CHAT_SYSTEM_HEAD,
	.has_bos = true,
	.drops_thoughts = true,
	.drops_last_thoughts = true,
	.keeps_lines = true,
};

struct chat_style chat_style_default(enum chat_template tmpl)
{
	static const struct chat_style *const styles[] = {
		[CHAT_CHATML] = &chatml, [CHAT_SMOLLM2] = &chatml, [CHAT_LLAMA2] = &llama2,
		[CHAT_LLAMA3] = &llama3, [CHAT_MISTRAL] = &mistral, [CHAT_GEMMA] = &gemma,
		[CHAT_PHI3] = &phi3, [CHAT_ZEPHYR] = &zephyr, [CHAT_PHI4] = &phi4,
		[CHAT_DEEPSEEK] = &deepseek,
	};
	struct chat_style style = { 0 };

	if (tmpl < ARRAY_SIZE(styles) && styles[tmpl])
		style = *styles[tmpl];
	style.tmpl = tmpl;
	return style;
}

/* ---- recognising ---- */

/* how the assistant's turn begins, up to the text or to a thought */
static const char chatml_prompt[] = "'<|im_start|>assistant\\n";
static const char chatml_thought[] = "<think>\\n'";

/* behind the last place where the program lets the assistant begin; NULL: it does not */
static const char *chatml_find_prompt(const char *t)
{
	const char *last = NULL;

	for (const char *p = strstr(t, chatml_prompt); p; p = strstr(p + 1, chatml_prompt))
		last = p + strlen(chatml_prompt);
	return last;
}

/* begins_thought() - whether anyone wants it or not (QwQ, Qwen 3 Thinking) */
static bool begins_thought(const char *prompt)
{
	return !strncmp(prompt, chatml_thought, strlen(chatml_thought));
}

/*
 * Relatives of ChatML put other tokens between, write more than the messages, or begin the
 * assistant's turn with a thought behind a condition (but for those that do so only where thinking
 * is switched off).
 */
static bool is_chatml(const char *t)
{
	static const char *const others[] = {
		"<|im_sep|>", "<|im_middle|>", "<end_of_utterance>", "## Metadata",
		"You are a function calling AI model",
	};
	const char *last = chatml_find_prompt(t);

	if (!last || !has(t, "<|im_end|>") ||
	    !(has(t, "'<|im_start|>'+message.role+'\\n'") || has(t, "<|im_start|>user\\n")))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (has(t, others[i]))
			return false;
	if (begins_thought(last))
		return !has(last + strlen(chatml_thought), "<think>");
	return *last == '\'' && !has(last, "'<think>\\n'") &&
	       (!has(last, "<think>") ||
		has(last, "enable_thinkingisdefinedandenable_thinkingisfalse%}"));
}

/* the first ones begin an answer right behind each question */
static bool is_phi4(const char *t)
{
	if (has(t, "'<|im_start|>'+message.role+'<|im_sep|>'+message.content+'<|im_end|>'"))
		return true;
	return has(t, "'<|im_start|>system<|im_sep|>'+message.content+'<|im_end|>'") &&
	       has(t, "'<|im_start|>user<|im_sep|>'+message.content+'<|im_end|>");
}

static bool is_phi4_mini(const char *t)
{
	return has(t, "'<|'+message.role+'|>'+message.content+'<|end|>'}}") &&
	       has(t, "'<|assistant|>'}}") && !has(t, "<|system|>");
}

/* the newest ones think where they are told to, and are another family */
static bool is_deepseek(const char *t)
{
	return (has(t, "'" DEEPSEEK_USER "'+message.content}}") ||
		has(t, "'" DEEPSEEK_USER "'+content+'" DEEPSEEK_ASSISTANT "'}}")) &&
	       has(t, "+'" DEEPSEEK_END "'}}") && has(t, "{{bos_token}}{{ns.system_prompt}}") &&
	       (has(t, "'" DEEPSEEK_ASSISTANT "'}}{%endif%}") ||
		has(t, "'" DEEPSEEK_ASSISTANT "<think>\\n'}}")) &&
	       !has(t, "thinking");
}

static bool is_zephyr(const char *t)
{
	return has(t, "'<|user|>\\n'+message.content+eos_token") ||
	       has(t, "'<|'+message.role+'|>\\n'+message.content+eos_token") ||
	       has(t, "'<|user|>\\n'+message.content+'<|endoftext|>'");
}

static bool is_phi3(const char *t)
{
	return has(t, "<|end|>") &&
	       (has(t, "<|assistant|>\\n") || has(t, "'<|assistant|>'+'\\n'")) &&
	       (has(t, "'<|user|>'+'\\n'+message.content+'<|end|>'") ||
		has(t, "'<|user|>\\n'+message.content+'<|end|>\\n'") ||
		has(t, "'<|'+message.role+'|>'+'\\n'+message.content+'<|end|>\\n'"));
}

static enum chat_template recognise(const char *t)
{
	if (is_chatml(t))
		return CHAT_CHATML;
	if (has(t, "'<|start_header_id|>'+message.role+'<|end_header_id|>\\n\\n'+"
		   "message.content|trim+'<|eot_id|>'"))
		return CHAT_LLAMA3;
	if (has(t, "<<SYS>>") && (has(t, "bos_token+'[INST] '+content.strip()+' [/INST]'") ||
				  has(t, "bos_token+'[INST] '+content|trim+' [/INST]'")))
		return CHAT_LLAMA2;
	if (has(t, "[INST]") && has(t, "[/INST]") && !has(t, "<<SYS>>"))
		return CHAT_MISTRAL;
	if (has(t, "'<start_of_turn>'+role+'\\n'"))
		return CHAT_GEMMA;
	if (is_phi3(t) || is_phi4_mini(t))
		return CHAT_PHI3;
	if (is_phi4(t))
		return CHAT_PHI4;
	if (is_deepseek(t))
		return CHAT_DEEPSEEK;
	return is_zephyr(t) ? CHAT_ZEPHYR : CHAT_UNKNOWN;
}

/* ---- what differs within a family ---- */

/* a string of the template's program as the text it stands for; @end: behind its last byte */
static char *unescape(const char *text, const char *end)
{
	char *out = malloc((size_t)(end - text) + 1), *p = out;

	if (!out)
		return NULL;
	while (text < end) {
		if (*text == '\\' && text + 1 < end) {
			text++;
			*p++ = *text == 'n' ? '\n' : *text == 't' ? '\t' : *text;
			text++;
		} else {
			*p++ = *text++;
		}
	}
	*p = 0;
	return out;
}

/* '<|im_start|>system\nTHIS<|im_end|>' within one string of the program */
static int chatml_default_system(struct chat_style *style, const char *t)
{
	static const char open[] = "'<|im_start|>system\\n";

	for (const char *p = strstr(t, open); p; p = strstr(p, open)) {
		const char *end, *quote;

		p += strlen(open);
		end = strstr(p, "<|im_end|>");
		quote = strchr(p, '\'');
		while (quote && quote[-1] == '\\')
			quote = strchr(quote + 1, '\'');
		if (!end || end == p || (quote && quote < end))
			continue;
		style->default_system = unescape(p, end);
		return style->default_system ? 0 : -ENOMEM;
	}
	return 0;
}

static int chatml_style(struct chat_style *style, const char *t)
{
	bool is_trimmed = has(t, "+message.content|trim+'<|im_end|>");
	int r = chatml_default_system(style, t);

	if (r < 0)
		return r;
	if (begins_thought(chatml_find_prompt(t)))
		style->prompt = "<|im_start|>assistant\n<think>\n";
	/* two spellings, the second of which is of those who repack models */
	style->drops_thoughts = has(t, "content.split('</think>')[-1].lstrip('\\n')") ||
				has(t, "content.split('</think>')|last).lstrip('\\n')");
	style->drops_last_thoughts = !has(t, "last_query_index");
	for (size_t i = 0; i < CHAT_ROLES; i++)
		style->turns[i].is_trimmed = is_trimmed;
	if (style->default_system && has(style->default_system, "SmolLM"))
		style->tmpl = CHAT_SMOLLM2;
	return 0;
}

/* Llama 3.1 has a system turn in any case, with two dates in it */
static int llama3_style(struct chat_style *style, const char *t)
{
	if (!has(t, "Cutting Knowledge Date: December 2023"))
		return 0;
	style->first_system = llama3_dates;
	style->default_system = strdup("");
	return style->default_system ? 0 : -ENOMEM;
}

/* @open is {% set NAME = ', what follows up to the quote is THIS; nothing where it is computed */
static int set_default_system(struct chat_style *style, const char *t, const char *open)
{
	const char *p = strstr(t, open), *end;

	if (!p)
		return 0;
	p += strlen(open);
	end = strchr(p, '\'');
	while (end && end[-1] == '\\')
		end = strchr(end + 1, '\'');
	if (!end || strncmp(end, "'%}", 3))
		return 0;
	style->default_system = unescape(p, end);
	return style->default_system ? 0 : -ENOMEM;
}

/* early ones have a system message of their own, behind a condition that was filled in */
static int llama2_style(struct chat_style *style, const char *t)
{
	const char *p = strstr(t, "{%eliftrue==trueandnot'<<SYS>>'inmessages[0].content%}");

	return p ? set_default_system(style, p, "{%setsystem_message='") : 0;
}

/* [INST] and [/INST] with and without spaces around, and five ways to write an answer */
static int mistral_style(struct chat_style *style, const char *t)
{
	struct chat_turn *system = &style->turns[CHAT_SYSTEM], *user = &style->turns[CHAT_USER];
	struct chat_turn *assistant = &style->turns[CHAT_ASSISTANT];
	bool has_space = has(t, "[INST] '");

	user->before = has(t, "' [INST] '") ? " [INST] " : has_space ? "[INST] " : "[INST]";
	user->after = has(t, "' [/INST]'") ? " [/INST]" : "[/INST]";
	assistant->before = has(t, "' '+message.content") ? " " : NULL;
	assistant->is_trimmed = has(t, "message.content|trim+eos_token");
	assistant->rest = has(t, "message.content+eos_token+' '") ? " " : NULL;
	if (has(t, "[SYSTEM_PROMPT]")) {
		style->system = CHAT_SYSTEM_TURN;
		style->alternates = has(t, "must alternate");
		system->before = has(t, "'[SYSTEM_PROMPT] '") ? "[SYSTEM_PROMPT] " :
								"[SYSTEM_PROMPT]";
		system->after = "[/SYSTEM_PROMPT]";
		return set_default_system(style, t, "setdefault_system_message='");
	}
	if (!has(t, "system_message"))
		style->system = CHAT_SYSTEM_REFUSED;
	else if (has(t, "loop.lastandsystem_message"))
		style->system = CHAT_SYSTEM_LAST_USER;
	return 0;
}

/* the small one of the next generation is a relative without lines */
static void phi3_style(struct chat_style *style, const char *t)
{
	if (is_phi4_mini(t))
		*style = phi4_mini;
	style->has_bos = has(t, "bos_token");
	if (!has(t, "'system'") && !has(t, "'+message.role+'"))
		style->system = CHAT_SYSTEM_REFUSED;
	style->skips_empty_system = has(t, "message.role=='system'andmessage.content");
}

static void deepseek_style(struct chat_style *style, const char *t)
{
	if (has(t, "'" DEEPSEEK_ASSISTANT "<think>\\n'"))
		style->prompt = DEEPSEEK_ASSISTANT "<think>\n";
	style->alternates = has(t, "+'" DEEPSEEK_ASSISTANT "'}}");
}

static int refine(struct chat_style *style, const char *t)
{
	bool has_bos = has(t, "bos_token");

	switch (style->tmpl) {
	case CHAT_CHATML:
		style->has_bos = has_bos;
		return chatml_style(style, t);
	case CHAT_LLAMA3:
		style->has_bos = has_bos;
		return llama3_style(style, t);
	case CHAT_MISTRAL:
		style->has_bos = has_bos;
		return mistral_style(style, t);
	case CHAT_GEMMA:
		if (has(t, "first_user_prefix"))
			style->system = CHAT_SYSTEM_FIRST_USER;
		break;
	case CHAT_PHI3:
		phi3_style(style, t);
		break;
	case CHAT_PHI4:
		style->alternates = has(t, "<|im_end|><|im_start|>assistant<|im_sep|>'");
		break;
	case CHAT_DEEPSEEK:
		deepseek_style(style, t);
		break;
	case CHAT_ZEPHYR:
		style->has_bos = has_bos;
		break;
	case CHAT_LLAMA2:
		return llama2_style(style, t);
	default:
		break;
	}
	return 0;
}

int chat_style_load(struct chat_style *style, const struct gguf *gguf)
{
	_cleanup_free_ char *normal = NULL;
	struct gguf_string text;
	int r = gguf_get_string(gguf, "tokenizer.chat_template", &text);

	*style = chat_style_default(r == -ENOENT ? CHAT_NONE : CHAT_UNKNOWN);
	if (r < 0 || text.len > TEMPLATE_MAX)
		return 0;
	normal = jinja_normalise(text.data, text.len);
	if (!normal)
		return -ENOMEM;
	*style = chat_style_default(recognise(normal));
	return refine(style, normal);
}
