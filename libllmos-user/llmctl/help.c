/* SPDX-License-Identifier: MIT */
/*
 * What --help says.
 */
#include "help.h"

const char help_main[] =
"Usage: llmctl [--address ADDRESS] COMMAND [OPTION]... [OPERAND]...\n"
"Ask the language model of this machine, and see what it is doing.\n"
"  ask PROMPT...         answer a prompt; piped standard input is appended to it\n"
"  run MODEL PROMPT...   the same, of a model named first\n"
"  chat                  talk: a conversation with line editing and history\n"
"  ls                    list the models\n"
"  show MODEL            tell all about one of them\n"
"  ps                    list who is running and waiting\n"
"  tokenize TEXT...      show the tokens of a text\n"
"  detokenize ID...      show the text of tokens\n"
"  score TEXT...         show how likely each token of a text is\n"
"  embed TEXT...         print a vector for each text\n"
"  rank QUERY TEXT...    put texts in order, by how well they answer a query\n"
"  classify TEXT...      tell which of a model's labels fits each text\n"
"  status                tell how broker and server are\n"
"  session VERB          keep a conversation that programs inherit\n"
"  quota VERB            set, show and reset what cgroups may use\n"
"  top                   show live which cgroups use how much\n"
"  events                follow what the broker tells administrators\n"
"  pressure [CGROUP]     tell how long requests wait, or when it is too long\n"
"  version               print the version\n"
"  help [COMMAND]        print this, or the help of a command\n"
"  -a, --address ADDRESS device, device:/dev/llm or unix:PATH; not $LLMOS_ADDRESS\n"
"  -h, --help            help, also of each command; -V, --version: the version\n";

#define HELP_ADAPTER \
"      --adapter NAME[=X]  add X times (1) this adapter to the model; up to 4\n"

#define HELP_SAMPLING \
"  -n, --max-tokens N, --context-shift[=N]  end after N; past the context, keep N\n" \
"  -t, --temperature X    0 (default): always the likeliest token; to 100\n" \
"      --top-k N          choose among the N likeliest tokens\n" \
"      --top-p P          among the likeliest that make up probability P\n" \
"      --min-p P          among those at least P times as likely as the first\n" \
"      --repeat-penalty X, --repeat-last-n N\n" \
"                         make tokens less likely that are among the last N (64)\n" \
"      --seed N           the same seed gives the same answer\n" \
"      --stop TEXT, --ignore-eos  end before TEXT; go on when the model would end\n" \
"      --grammar FILE, --schema FILE, --any-json  what the answer has to match\n" \
HELP_ADAPTER \
"      --system TEXT      a system message in front\n"

#define HELP_CLASS \
"      --class CLASS, --no-wait  interactive, normal or idle; fail over a quota\n"

#define HELP_ANSWER \
HELP_SAMPLING \
HELP_CLASS \
"      --raw, --no-bos    without the chat template, the begin-of-text token\n" \
"      --special, --session FD  parse special tokens; go on with a conversation\n" \
"      --logprobs[=N]     show each token's log-probability and N alternatives\n" \
"      --choices N, --best-of N  several answers; of N, the likeliest\n" \
"  -j, --json             an object: text, finish, usage, logprobs; or choices\n" \
"  -a, --address ADDRESS  where to ask\n" \
"A piped standard input is appended to the prompt. Ctrl-C ends the answer.\n"

const char help_ask[] =
"Usage: llmctl ask [OPTION]... [PROMPT]...\n"
"Print the answer to a prompt as it comes.\n"
"\n"
"  -m, --model MODEL      ask this one, not the server's default\n"
HELP_ANSWER;

const char help_run[] =
"Usage: llmctl run [OPTION]... MODEL [PROMPT]...\n"
"Print the answer of a model to a prompt as it comes.\n"
"\n"
HELP_ANSWER;

const char help_chat[] =
"Usage: llmctl chat [OPTION]...\n"
"Talk with a model. Ctrl-C ends an answer, Ctrl-D the conversation.\n"
"\n"
"  -m, --model MODEL      talk with this one, not the server's default\n"
HELP_SAMPLING
HELP_CLASS
"  -a, --address ADDRESS  where to ask\n"
"\n"
"A line that begins with / is for llmctl; /help lists what it understands.\n";

const char help_ls[] =
"Usage: llmctl ls [OPTION]...\n"
"List the models. The default one is marked with *.\n"
"\n"
"  -j, --json             an array of objects\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_show[] =
"Usage: llmctl show [OPTION]... MODEL\n"
"Tell all about a model, with the keys of its file.\n"
"\n"
"  -j, --json             an object, with whole values\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_ps[] =
"Usage: llmctl ps [OPTION]...\n"
"List who is running and waiting. TOKENS are those of the prompt and of the\n"
"answer so far; a cgroup whose path can not be found is shown by its number.\n"
"\n"
"  -j, --json             an array of objects\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_tokenize[] =
"Usage: llmctl tokenize [OPTION]... [TEXT]...\n"
"Show the tokens of a text; without TEXT, of standard input, byte for byte.\n"
"\n"
"  -m, --model MODEL      with this one's tokenizer, not the default model's\n"
"      --bos              with the begin-of-text token, if the model wants one\n"
"      --special          take special tokens written in the text for such\n"
"      --ids              only the ids, in one line, as detokenize takes them\n"
"  -j, --json             an array of objects\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_detokenize[] =
"Usage: llmctl detokenize [OPTION]... [ID]...\n"
"Show the text of tokens; without ID, of those that standard input names.\n"
"\n"
"  -m, --model MODEL      with this one's tokenizer, not the default model's\n"
"  -j, --json             an object\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_score[] =
"Usage: llmctl score [OPTION]... [TEXT]...\n"
"       llmctl score --ids [OPTION]... [ID]...\n"
"Show the log-probability of each token of a text given those before it, their\n"
"sum and the perplexity; without operands, of standard input, byte for byte.\n"
"\n"
"  -m, --model MODEL      ask this one, not the server's default\n"
"      --ids              token ids are given, not text\n"
"      --special          take special tokens written in the text for such\n"
"      --no-bos           without the begin-of-text token\n"
"      --logprobs=N       show the N likeliest tokens too\n"
HELP_ADAPTER
HELP_CLASS
"  -j, --json             an object: tokens, scored, logprob, perplexity\n"
"  -a, --address ADDRESS  where to ask\n";

#define HELP_TEXTS \
"      --truncate         cut texts that are too long for the model\n" \
"  -0, --null             of standard input, texts end with NUL bytes, not lines\n"

const char help_embed[] =
"Usage: llmctl embed [OPTION]... [TEXT]...\n"
"Print a vector for each text, a line each; without TEXT, for each line of\n"
"standard input.\n"
"\n"
"  -m, --model MODEL      ask this one, not the server's default\n"
"      --pooling P        mean, first or last: of which tokens it is made;\n"
"                         else as the model was made for\n"
"      --dims N           its first N elements, for models trained for it\n"
"      --no-normalize     as the model gives it; else it has length 1\n"
HELP_TEXTS
HELP_CLASS
"      --raw              float32, in the machine's byte order, and no lines\n"
"  -j, --json             an object: embeddings, dims, tokens, truncated\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_rank[] =
"Usage: llmctl rank [OPTION]... QUERY [TEXT]...\n"
"Put texts in order, by how well they answer a query: a line each, score and text\n"
"with a tab between, the best first. Without TEXT, lines of standard input. The\n"
"score is that of a model that was trained to rank, which has one label: 0 to 1,\n"
"or the logit where it was made for that; of models without labels, the cosine\n"
"between the vectors of query and text.\n"
"\n"
"  -m, --model MODEL      ask this one, not the server's default\n"
"  -c, --count N          only the N best\n"
HELP_TEXTS
HELP_CLASS
"  -j, --json             an array of objects: index, score, logit, probability,\n"
"                         text\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_classify[] =
"Usage: llmctl classify [OPTION]... [TEXT]...\n"
"Tell which of a model's labels fits each text best: a line each, label and\n"
"probability with a tab between. Without TEXT, lines of standard input.\n"
"\n"
"  -m, --model MODEL      ask this one, not the server's default\n"
HELP_TEXTS
HELP_CLASS
"  -j, --json             of each text an array: label, probability, logit\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_status[] =
"Usage: llmctl status [OPTION]...\n"
"Tell how broker and server are. Fails with 69 if no server answers.\n"
"\n"
"  -j, --json             an object\n"
"  -a, --address ADDRESS  where to ask\n";

const char help_session[] =
"Usage: llmctl session run COMMAND...\n"
"       llmctl session fork COMMAND...\n"
"       llmctl session seal | info | save FILE | restore FILE\n"
"Keep a conversation in a descriptor that programs inherit, with its number in\n"
"$LLMOS_SESSION: each llmctl ask they run goes on from what was said before, and\n"
"does not compute that again. It ends with the last program that has it.\n"
"\n"
"  run COMMAND            run a command with a new one\n"
"  fork COMMAND           run it with a new one in which the same was said\n"
"  seal                   nothing is said in it any more; it can be forked\n"
"  info                   tell how much was said, and if it is sealed or busy\n"
"  save FILE              write what was said, as token ids\n"
"  restore FILE           say that in a new one, which the same model has to know\n"
"\n"
"      --session FD       not the one of $LLMOS_SESSION\n"
"  -j, --json             info: an object\n"
"  -a, --address ADDRESS  where to ask; for the command as well\n";

const char help_quota[] =
"Usage: llmctl quota set CGROUP KEY=VALUE...\n"
"       llmctl quota show [--json] [CGROUP]\n"
"       llmctl quota reset CGROUP | --all\n"
"       llmctl quota apply | watch [--folder FOLDER]\n"
"Limit what a cgroup and all below it may use. Keys, and values beside max:\n"
"  weight              1 to 10000, its share among its siblings; 100\n"
"  tokens-per-second   a number (100, 0.5); burst: of tokens, after idleness\n"
"  in-flight, queued   requests that have begun, that have yet to begin\n"
"  compute             a time in each period (500ms/1s), or a share (50%)\n"
"  memory.host, memory.cuda0 ...   bytes (K, M, G, T)\n"
"  share-cache         yes: reuse one another's prefixes, also across users; no\n"
"  prompt-cost         of the root: what a token of a prompt counts; 0.25\n"
"\n"
"CGROUP is a path (/user.slice, /sys/fs/cgroup/user.slice) or a name that only\n"
"one has (foo.service); to set and reset it must then be root's, and its path is\n"
"printed. apply sets once what the files of a folder say; watch goes on with\n"
"cgroups that appear, and reads the files again on SIGHUP.\n"
"\n"
"  -j, --json             an array of objects; of one cgroup an object\n"
"      --all              reset all cgroups\n"
"      --folder FOLDER    not /etc/llmos/quota.d\n";

const char help_top[] =
"Usage: llmctl top [OPTION]...\n"
"Show which cgroups use how much. REQS are those in flight and queued; TOK/S as\n"
"quotas count them; SHARE of all that is used, beside what the weights make DUE;\n"
"WAIT is the mean time to the first dispatch; STALL how much of the last 10 s\n"
"requests could have gone on and were not stepped.\n"
"\n"
"Keys: q quits; the order is by n name, r requests, t tokens, s share, w wait,\n"
"m memory, p stall.\n"
"\n"
"  -b, --batch            one table after the other, as when not on a terminal\n"
"  -c, --count N          end after N of them\n"
"      --interval S       seconds between two, from 0.1 to 3600; 2\n"
"      --sort COLUMN      cgroup, requests, tokens (the default), share, wait,\n"
"                         memory or stalled\n"
"  -j, --json             an object a line\n";

const char help_events[] =
"Usage: llmctl events [OPTION]...\n"
"Print what happens, one event a line: servers come and go, quotas are set,\n"
"cgroups are throttled, refused and removed. For administrators only.\n"
"\n"
"  -c, --count N          end after N events\n"
"  -j, --json             an object a line\n";

const char help_pressure[] =
"Usage: llmctl pressure [OPTION]... [CGROUP]\n"
"Tell how much of the last 10, 60 and 300 seconds (in percent) and ever (in\n"
"microseconds) some or all of a cgroup's requests could have gone on and were not\n"
"stepped; without CGROUP, of the whole machine.\n"
"\n"
"      --watch STALL/WINDOW\n"
"                         print a line whenever it was stalled that long within a\n"
"                         window (150ms/1s), once a window at most\n"
"      --full             when all of its requests were, not just some\n"
"  -c, --count N          end after N lines\n"
"  -j, --json             an object; with --watch one a line\n";

const char help_version[] =
"Usage: llmctl version [OPTION]...\n"
"Print the versions of llmctl and of the library it runs with.\n"
"\n"
"  -j, --json             an object\n";

const char help_help[] =
"Usage: llmctl help [COMMAND]\n"
"Print the help of llmctl or of one of its commands.\n";
