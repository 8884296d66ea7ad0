/*
 * The options on a command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/arguments.hh"

#include <algorithm>
#include <getopt.h>

#include "decimal.hh"
#include "support/errors.hh"

namespace {

/* The name in a word like --name or --name=value */
std::string name_in(const std::string &word)
{
    return word.starts_with("--") ? word.substr(2, word.find('=') - 2) : "";
}

bool is_option(const std::string &word, const std::vector<Option> &options)
{
    return word == "--help" ||
        std::ranges::count(options, name_in(word), &Option::name);
}

} // namespace

Arguments::Arguments(int argc, char **argv, const std::vector<Option> &options)
    : advice_(std::string("See qemu-nitro-cli ") + argv[0] + " --help.")
{
    std::vector<option> known = {{"help", no_argument, nullptr, 'h'}};

    for (const Option &o : options) {
        known.push_back({o.name, o.takes_value ? required_argument
                                               : no_argument, nullptr, 0});
    }
    known.push_back({});
    opterr = 0;
    optind = 0;                 /* glibc: start again */
    for (int at = 1, index = 0; at < argc; at = optind) {
        int c = getopt_long(argc, argv, "+:h", known.data(), &index);

        if (c == 'h') {
            help_ = true;
            return;
        }
        /* getopt_long() also accepts abbreviated names. */
        if (c || name_in(argv[at]) != known[index].name) {
            refuse(argv[at], c == ':', options);
        }
        if (optind - at > 1 && is_option(optarg, options)) {
            throw Error(Code::missing_argument, std::string(argv[at])
                        + " needs a value", advice_ + "  What begins like an"
                        " option is a value only after \"=\".");
        }
        std::vector<std::string> &values = values_[known[index].name];

        values.emplace_back(optarg ? optarg : "");
        /* known[0] is --help */
        while (options[index - 1].takes_more && optind < argc &&
               argv[optind][0] != '-') {
            values.emplace_back(argv[optind++]);
        }
    }
}

void Arguments::refuse(const std::string &word, bool lacks_value,
                       const std::vector<Option> &options) const
{
    std::string name = name_in(word);
    bool is_known = std::ranges::count(options, name, &Option::name);

    if (is_known && lacks_value) {
        throw Error(Code::missing_argument, word + " needs a value", advice_);
    }
    if (is_known) {
        throw Error(Code::invalid_argument, "--" + name + " takes no value",
                    advice_);
    }
    throw Error(Code::invalid_argument, word + " is not an option", advice_);
}

std::optional<std::string> Arguments::single(const char *name) const
{
    auto found = values_.find(name);

    if (found == values_.end()) {
        return {};
    }
    if (found->second.size() > 1) {
        throw Error(Code::conflicting_argument, std::string("--") + name
                    + " is given twice", "Give it once.");
    }
    return found->second[0];
}

std::string Arguments::required(const char *name) const
{
    std::optional<std::string> value = single(name);

    if (!value || value->empty()) {
        throw Error(Code::missing_argument, std::string("--") + name
                    + " is missing", advice_);
    }
    return *value;
}

std::vector<std::string> Arguments::all(const char *name) const
{
    auto found = values_.find(name);

    return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::string sanitized(std::string text)
{
    std::ranges::replace_if(text, [](unsigned char c) {
        return c < ' ' || c == 0x7f;
    }, '?');
    return text;
}

uint64_t parse_number(const std::string &option, const std::string &text,
                      uint64_t max)
{
    std::optional<uint64_t> value = parse_decimal(text, 0, max);

    if (!value) {
        throw Error(Code::invalid_argument, option + " "
                    + (text.empty() ? "\"\"" : text) + " is not a number from 0"
                    " to " + std::to_string(max), "Correct it.");
    }
    return *value;
}
