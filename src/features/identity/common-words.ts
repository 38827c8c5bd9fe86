/**
 * Words that guessed passwords are built from: the most used passwords, first names, seasons, sports, and the words of
 * this trade. Digits, repeats and keyboard rows are recognised by form (password-policy.ts), so variants need no entry.
 */
export const commonWords: ReadonlySet<string> = new Set(
  `
pass password passwd passwort passphrase passcode parole contrasena motdepasse senha haslo salasana wachtwoord losenord
secret secrets topsecret supersecret geheim hidden private personal mine login logon signin signon access accessed open
letmein trustno1 iloveyou loveyou love lover lovers lovely loveme luv2 hello hallo hola bonjour welcome willkommen bienvenue
admin administrator administrador root superuser super sysadmin manager master owner operator user username users guest
guests demo test tests tester testing tested trial temp temporary default defaults change changeme changethis changeit
replace replaceme reset setme example sample dummy placeholder foobar foobarbaz nothing nobody none null undefined empty
blank token tokens bearer apikey apitoken api_key api_token key keys mykey string here your yours insert enter value please
random abcd abcde abc123 admin123 pass123 test123 qwerty123 pass1234 p4ssword monkey dragon sunshine princess football
baseball basketball soccer hockey tennis golf golfer shadow superman batman spiderman ironman starwars jordan jordan23
michael michelle jennifer jessica ashley amanda joshua daniel andrew matthew anthony robert william thomas charlie george
thunder summer winter spring autumn fall sommer herbst fruehling hunter ranger buster killer soldier pepper ginger cookie
chocolate cheese banana orange apple apples lemon cherry peanut butter coffee flower flowers rainbow butterfly angel angels
diamond silver golden gold purple yellow black white green blue red pink brown matrix phoenix eagle eagles falcon tiger
tigers lion lions panther wolf bear bears horse mustang corvette ferrari porsche mercedes yamaha harley kawasaki maverick
cowboy cowboys yankees lakers arsenal chelsea liverpool barcelona madrid juventus steelers packers redsox dolphins raiders
computer internet server servers network networks system systems database backup backups storage cluster cloud linux ubuntu
debian windows microsoft google facebook twitter linkedin amazon samsung nokia android iphone oracle mysql postgres sqlite
redis docker kubernetes container virtual machine firewall router switch gateway proxy desktop laptop mobile email mail
website site portal intranet infra infrastructure atlas inventory datacenter datacentre rack racks device devices prod
production produktion stage staging develop development developer devops engineer engineering operations support service
services security secure safe safety company corp corporate corporation enterprise business office team group global
world international firma unternehmen buero department project product customer client partner public internal external
january february march april june july august september october november december januar februar maerz juni juli oktober
dezember monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag
sonntag today tomorrow yesterday morning night evening weekend holiday birthday christmas easter newyear happy lucky
forever always never again family mother father sister brother daddy mommy mama papa baby babygirl babyboy girl boys girls
friend friends bestfriend sweet sweetie sweetheart honey darling beautiful pretty gorgeous handsome smile peace freedom
heaven jesus christ christian faith blessed bless church trinity prayer spirit magic wizard merlin gandalf hogwarts potter
harry pokemon pikachu naruto zelda mario sonic minecraft fortnite warcraft starcraft counterstrike playstation nintendo
xbox gamer game games player music guitar piano metallica nirvana slipknot eminem beatles elvis blink182 rockstar rocket
rocky scooter skater snoopy snickers simpson simpsons homer bart garfield mickey minnie donald tweety tigger winnie bambi
barbie hannah sophie olivia emma emily sarah samantha elizabeth victoria alexander alexandra alexis andrea angela anna
barbara benjamin brandon brian carlos caroline charles chris christina christopher claudia daniela david diana dennis
edward eric fernando frank gabriel heather isabella jackson jacob james jason jasmine jeremy johnny jonathan joseph juan
julia justin karen katie kevin kimberly laura lauren leonardo linda lisa louise lucas maggie marcus maria marie marina
mark martin melissa mercedes monica morgan natalie natasha nicholas nicole nathan oliver oscar patricia patrick paul peter
philip rachel rebecca richard ricardo roberto ronald ryan sabrina sandra scott sebastian sharon simon stefan stephanie
stephen steven susan taylor teresa theresa tiffany tyler vanessa veronica vincent walter zachary america american england
london paris berlin munich muenchen hamburg vienna wien zurich geneva madrid roma milano moscow newyork boston chicago
dallas denver houston florida texas california canada mexico brazil brasil germany deutschland france italy italia spain
espana poland polska russia china india japan tokyo australia sydney europe africa asia
abracadabra opensesame sesame correcthorsebatterystaple correct battery staple thisis thisisa isthe andthe forthe withthe
ismy mypassword mysecret mytoken nopassword asdf asdfasdf zxcv qwer qwert qwerty azerty qwertz dvorak aaaa fuck fuckyou
fuckoff fucker shit bitch asshole pussy bigdick hardcore playboy sexy sexsex naked hotdog bigdog bulldog doggie kitty kitten
puppy panda penguin rabbit turtle spider snake dolphin shark whale monster vampire zombie ghost demon devil satan lucifer
hell death dead blood darkness darkside destiny legend hero warrior samurai ninja knight king queen prince royal crystal
water fire earth wind storm lightning moonlight moon star stars galaxy universe planet jupiter saturn mercury apollo zeus
athena hercules titan cosmos infinity eternal genius einstein newton tesla edison money dollar euro bank banker million
millionaire business rich poker casino winner champion victory success power energy strong fitness doctor nurse teacher
student school college university student123 library science physics chemistry history english deutsch francais espanol
`
    .trim()
    .split(/\s+/),
)
