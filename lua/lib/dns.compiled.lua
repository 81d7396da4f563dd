-- Hooks as machine code. LuaJIT compiles nothing here (the guard against endless hooks cannot cut off what is compiled)
-- but copies of hooks whose code shows that they end (dns.keeps), and what these read, set and call: the functions below,
-- in Lua that becomes a part of the hook's own code. They look into the objects of lua/visit.h by address, and call C
-- functions that know nothing of Lua. What is not known here is done as for all other objects.
local ffi = require "ffi"
local bit = require "bit"
local util = require "jit.util"
local band, bor = bit.band, bit.bor
local cast, string_of = ffi.cast, ffi.string
local next, rawequal, rawget, type = next, rawequal, rawget, type
local jit, package, string = jit, package, string

-- --- what is compiled ---

local RECURSIONS = 1000000 -- what calls itself is not compiled before it has done so this often

local function compile_nothing_else()
  local off, load_file, set_options = jit.off, package.loaders[2], jit.opt.start
  jit.attach(function(code) off(code) end, "bc")
  function jit.opt.start(...)
    set_options(...)
    set_options("recunroll=" .. RECURSIONS)
  end
  jit.opt.start()
  -- A module may be a file of byte code, of which nobody is told.
  package.loaders[2] = function(name)
    local loader = load_file(name)
    if type(loader) == "function" then off(loader, true) end
    return loader
  end
end

-- LuaJIT marks a function by its first instruction: to be counted, given up, compiled.
local MARK_COMPILED = 2

local function mark_of(f) return band(util.funcbc(f, 0), 0xff) end

local mark_of_new = mark_of(function() end)

-- Whether the function has been compiled.
local function is_compiled(f) return mark_of(f) == mark_of_new + MARK_COMPILED end

-- --- what compiled hooks are given ---

-- `given`:
--   objects, records        tables of the visit, see lua/visit.h
--   visit                   its address
--   types                   C's declarations of what is looked into
--   write_name, …           addresses of C functions
--   index, newindex         the ordinary metamethods, by class
--   message, record         the class tables
--   response_codes          dns.response_codes
--   response_slot, …        what C calls by these names
-- Gives the metatables, by class: what differs from the ordinary ones; and what hooks that are rewritten have
-- (dns.rewrite).
local function open(given)
  ffi.cdef(given.types)
  local objects, records = given.objects, given.records
  local visit = cast("struct moondns_visit *", given.visit)
  local to_flow = ffi.typeof "struct moondns_flow *"
  local to_message = ffi.typeof "struct moondns_message *"
  local to_question = ffi.typeof "struct moondns_question *"
  local to_record = ffi.typeof "struct moondns_record *"
  local to_object = ffi.typeof "struct moondns_object *"
  local write_name = cast("size_t (*)(void *, char *)", given.write_name)
  local answer = cast("bool (*)(void *, uint32_t)", given.answer)
  local fill = cast("bool (*)(void *, void *, const char *, size_t, const char *, size_t)", given.fill)
  local read_address = cast("bool (*)(void *, bool, const char *, size_t)", given.read_address)
  local answer_address = cast("bool (*)(void *)", given.answer_address)
  local write_noted = cast("void (*)(void *)", given.write_noted)
  local text = ffi.new("char[?]", given.name_text_max)
  local name -- of the question, as it was read last: the visit says whether it is this flow's

  local question_index, message_index, flow_index = given.index.Question, given.index.DNSMessage, given.index.DNSFlow
  local flow_newindex = given.newindex.DNSFlow

  -- Question

  local of_question = {
    type = function(self) return cast(to_question, self).type end,
    class_ = function(self) return cast(to_question, self).class_ end,
    name = function(self)
      name = string_of(text, write_name(self, text))
      visit.is_named = true
      return name
    end,
  }

  local function index_question(self, key)
    local get = of_question[key]
    if get then return get(self) end
    return question_index(self, key)
  end

  -- DNSMessage

  local succeed_otherwise, fail_otherwise = given.message.succeed, given.message.fail
  local message_newindex = given.newindex.DNSMessage
  local response_codes = given.response_codes
  local ANSWERS = given.answers_slot
  local ANSWERS_BIT = bit.lshift(1, ANSWERS)

  local function put_answers(answers)
    local object = cast(to_object, objects.answer)
    objects.answer_slots[ANSWERS] = answers
    object.slots = bor(object.slots, ANSWERS_BIT)
  end

  -- For whoever looks at the answer in other ways: its only record goes into a table.
  local function show_record()
    local single = visit.single
    if single == 0 then return end
    visit.single = 0
    if visit.blank then
      visit.blank = false
      write_noted(visit)
    end
    put_answers { records[single] }
  end

  local function succeed(self, answers)
    if rawequal(self, objects.request) and type(answers) == "table" and answer(visit, 0) then
      local last = visit.records + 1
      local record = answers[1]
      if visit.shares or record == nil or answers[2] ~= nil or answers[3] ~= nil or answers[4] ~= nil or
         not rawequal(record, records[last]) then
        put_answers(answers)
      else
        visit.single = last
        visit.record = cast(to_object, record)
      end
      return objects.answer
    end
    return succeed_otherwise(self, answers)
  end

  local function fail(self, code)
    local number = code
    if type(code) == "string" then number = rawget(response_codes, code) end
    if type(number) == "number" and number > 0 and number < 16 and number % 1 == 0 and
       rawequal(self, objects.request) and answer(visit, number) then
      return objects.answer
    end
    return fail_otherwise(self, code)
  end

  local function flag(mask)
    return function(self) return band(cast(to_message, self).flags, mask) ~= 0 end
  end

  local of_message = {
    id = function(self) return cast(to_message, self).id end,
    query = function(self) return band(cast(to_message, self).flags, 0x8000) == 0 end,
    authoritative_answer = flag(0x0400), truncation = flag(0x0200), recursion_desired = flag(0x0100),
    recursion_available = flag(0x0080), authentic_data = flag(0x0020), checking_disabled = flag(0x0010),
    succeed = function() return succeed end,
    fail = function() return fail end,
    question = function(self)
      if rawequal(self, objects.request) then return objects.question end
      show_record() -- what is changed there counts for the message
      return message_index(self, "question")
    end,
  }

  local function index_message(self, key)
    local get = of_message[key]
    if get then return get(self) end
    show_record()
    return message_index(self, key)
  end

  local function newindex_message(self, key, value)
    show_record()
    return message_newindex(self, key, value)
  end

  -- DNSFlow

  local function index_flow(self, key)
    if key == "request" then return objects.request end
    return flow_index(self, key)
  end

  local CLEARED, ASSIGNED, SLOT = given.response_cleared, given.response_assigned, given.response_slot
  local KEPT, SLOT_BIT = bit.bnot(CLEARED), bit.lshift(1, SLOT)

  local function newindex_flow(self, key, value)
    if key == "response" then
      if rawequal(value, objects.answer) then
        local flow = cast(to_flow, self)
        flow.changed = bor(band(flow.changed, KEPT), ASSIGNED)
        local object = cast(to_object, self)
        object.slots = bor(object.slots, SLOT_BIT)
        objects.flow_slots[SLOT] = value
        visit.is_answered = true
        return
      end
      visit.is_answered = false
    end
    return flow_newindex(self, key, value)
  end

  -- ResourceRecord

  local default_ttl, ttl_max = given.default_ttl, given.ttl_max

  -- The TTL that the last argument of a factory gives; nil where the factory has to look at it.
  local function ttl_of(options)
    local ttl, key = options, nil
    if options == nil then return default_ttl end
    if type(options) == "table" then
      key, ttl = next(options)
      if key ~= "ttl" or next(options, key) ~= nil then return nil end
    end
    if type(ttl) == "number" and ttl >= 0 and ttl <= ttl_max and ttl % 1 == 0 then return ttl end
  end

  local function question_name() return objects.question.name end

  -- A factory of records that hold an address; and one for the code of hooks that are rewritten: it notes that record for
  -- their `succeed`, and the question's name is the owner's.
  local function factories(number, otherwise)
    local last -- the address that the visit has for this type
    local function make(owner, address, options)
      local ready = visit.records
      local ttl = ready > 0 and type(owner) == "string" and type(address) == "string" and address ~= "" and ttl_of(options)
      if ttl then
        local made = records[ready]
        local record = cast(to_record, made)
        local length = address == last and 0 or #address
        local fine
        record.type = number
        if visit.is_named and owner == name then
          fine = fill(visit, record, nil, 0, address, length)
        else
          fine = fill(visit, record, owner, #owner, address, length)
        end
        if fine then
          last = address
          record.ttl = ttl
          visit.records = ready - 1
          return made
        end
        last = nil
      end
      return otherwise(owner, address, options)
    end
    local function note(_, address, options)
      local ttl = type(address) == "string" and ttl_of(options)
      if ttl and (address == last or read_address(visit, number == 1, address, #address)) then
        last = address
        visit.type, visit.ttl = number, ttl
        return true
      end
      return make(question_name(), address, options)
    end
    local function make_noted() return make(question_name(), last, visit.ttl) end
    return make, note, make_noted
  end

  local A, note_A, make_noted_A = factories(1, given.record.A)
  local AAAA, note_AAAA, make_noted_AAAA = factories(28, given.record.AAAA)
  given.record.A, given.record.AAAA = A, AAAA

  -- An answer with one record, which is noted (true), or made already.
  local function succeed_with(_, record)
    if record == true then
      if answer_address(visit) then return objects.answer end
      record = visit.type == 1 and make_noted_A() or make_noted_AAAA()
    end
    return succeed(objects.request, { record })
  end

  local function fail_with(_, code) return fail(objects.request, code) end

  local metatables = {
    DNSFlow = { __index = index_flow, __newindex = newindex_flow },
    DNSMessage = { __index = index_message, __newindex = newindex_message },
    Question = { __index = index_question },
  }
  local methods = {}
  for key, value in next, string do methods[key] = value end
  return metatables, {
    factories = { [A] = "A", [AAAA] = "AAAA" }, public = { A = A, AAAA = AAAA }, record = given.record,
    own = { A = note_A, AAAA = note_AAAA, succeed = succeed_with, fail = fail_with },
    visit = visit, objects = objects, string = string, methods = methods,
  }
end

compile_nothing_else()

return open, is_compiled
